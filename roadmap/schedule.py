"""The learning rate as a pure function of the step, so resuming needs no state."""

from __future__ import annotations

import math

from models.text import said
from roadmap.recipes import OPTIMIZERS, Recipe


def learning_rate(recipe: Recipe, step: int, steps_per_epoch: int) -> float:
    """Return the learning rate of ``step`` (from 0) in a run of ``recipe.epochs`` epochs.

    Linear warm-up from ``lr / warm-up steps`` to ``lr``, then a cosine to 0 over the rest
    (Loshchilov and Hutter 2017), or a factor ``step_gamma`` every ``step_epochs`` epochs.
    """
    warmup = recipe.warmup_epochs * steps_per_epoch
    if step < warmup:
        return recipe.lr * (step + 1) / warmup
    match recipe.schedule:
        case "step":
            return recipe.lr * recipe.step_gamma ** (step // steps_per_epoch // recipe.step_epochs)
        case "cosine":
            progress = (step - warmup) / (recipe.epochs * steps_per_epoch - warmup)
            return recipe.lr * 0.5 * (1 + math.cos(math.pi * progress))
    raise ValueError(f"schedule is {said(recipe.schedule)}; use step or cosine")


def scaled_lr(recipe: Recipe, batch_size: int) -> float:
    """Return the recipe's learning rate for another global batch size.

    It scales linearly for SGD and AdamW (Goyal et al. 2017; Liu et al. 2022), and with the square
    root for LAMB (You et al. 2020).
    """
    return recipe.lr * OPTIMIZERS[recipe.optimizer].lr_factor(batch_size / recipe.batch_size)
