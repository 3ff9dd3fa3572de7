"""``--scale pocket``: every step of a roadmap at a size that trains on a CPU in seconds.

The structure stays: kinds of layers, ratio of stages, order of steps. Only width, depth, image size
and the length of training shrink.
"""

from __future__ import annotations

from models.config import ModelConfig
from roadmap.recipes import OPTIMIZERS, Recipe

WIDTH_DIVISOR = 4
DEPTH_DIVISOR = 3
IMAGE_SIZE = 32  # the last of four stages has one pixel
EPOCHS = 15


def pocket_config(config: ModelConfig) -> ModelConfig:
    """Return ``config`` with a quarter of the width and a third of the depth (at least 1)."""
    return config.replace(
        width=max(config.width // WIDTH_DIVISOR, 1),
        depths=tuple(max(round(depth / DEPTH_DIVISOR), 1) for depth in config.depths),
    )


def pocket_recipe(recipe: Recipe) -> Recipe:
    """Return ``recipe`` for pocket networks: the same techniques over a few hundred steps.

    The learning rate depends on the optimizer, at this batch size. A weight average spans about an
    epoch of the digits instead of the last few epochs of long training.
    """
    return recipe.replace(
        batch_size=64,
        lr=OPTIMIZERS[recipe.optimizer].pocket_lr,
        epochs=EPOCHS,
        warmup_epochs=min(recipe.warmup_epochs, 1),
        step_epochs=EPOCHS // 3,
        train_size=IMAGE_SIZE,
        test_size=IMAGE_SIZE,
        test_resize=IMAGE_SIZE,
        ema_decay=None if recipe.ema_decay is None else 0.95,
        ema_every=1,
    )
