"""Training on few images: which settings of a recipe are for more, and options that are not."""

from __future__ import annotations

from math import isclose

from roadmap.recipes import Recipe
from roadmap.schedule import scaled_lr
from roadmap.text import counted
from roadmap.train.data.sampling import steps_per_epoch

#: A batch is too large for a set if an epoch has fewer steps; ``MOST`` is the largest proposed.
FEW_PER_EPOCH, MOST = 4, 64
#: Number of steps times learning rate. Less than ``LOW`` changes trained weights little (the recipe
#: has 5e-5 and, on ImageNet-1K, 75,000 steps); ``ENOUGH`` trains a new classifier on a small set.
LOW, ENOUGH, HIGHEST_LR = 0.015, 0.12, 1e-3


def small_batch(images: int) -> int:
    """Return a power of two with which an epoch of ``images`` has four steps or more."""
    return min(1 << max((images // FEW_PER_EPOCH).bit_length() - 1, 0), MOST)


def repeated(recipe: Recipe, images: int) -> str:
    """Say that a batch of ``recipe`` is larger than the whole set."""
    return (
        f"{images:,} training images are less than a batch of {recipe.batch_size:,}, so each epoch "
        f"is one step in which they repeat: try --batch-size {small_batch(images)}"
    )


def small_set(recipe: Recipe, default: Recipe, images: int) -> str | None:
    """Say which values that ``recipe`` has from ``default``, the one without changes, fine-tune
    little on ``images``, and the options to use instead; None if there are none."""
    batch, steps = recipe.batch_size, _steps(recipe, recipe.batch_size, images)
    causes, options = [], []
    if batch == default.batch_size and images < FEW_PER_EPOCH * batch:
        batch = small_batch(images)
        options.append(f"--batch-size {batch}")
    then = _steps(recipe, batch, images)
    own_lr = isclose(recipe.lr, scaled_lr(default, recipe.batch_size))
    if own_lr and scaled_lr(default, batch) * then < LOW:
        causes.append(f"a learning rate of {recipe.lr:.2g}")
        options.append(f"--lr {min(HIGHEST_LR, ENOUGH / then):.0e}".replace("e-0", "e-"))
    decay = recipe.ema_decay
    if decay is not None and decay == default.ema_decay and then * (1 - decay) < 1:
        causes.append(f"an average with decay {decay}")
        options.append("--ema-decay none")
    if not options:
        return None
    size = f"{counted(steps, 'step')} of {recipe.batch_size:,}"
    reason = f", too few for {' and '.join(causes)}" if causes else ""
    return f"{counted(images, 'training image')} give {size}{reason}: try {' '.join(options)}"


def _steps(recipe: Recipe, batch_size: int, images: int) -> int:
    return recipe.epochs * steps_per_epoch(images, batch_size)
