"""The augmentation pipeline: the stages that training applies to a batch of crops, in order.

Training (``batches``) and the pages (``preview``) apply the same stages. The order is timm's:
operations, normalization, erasing, mixing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor

from roadmap.recipes import Recipe
from roadmap.train.data import augment, operations, sampling
from roadmap.train.data.policies import Operations, Policy, policy
from roadmap.train.data.sampling import BatchPlan, Erasing, Mixing


class Batch(NamedTuple):
    """``images`` (N, 3, S, S) are uint8 until normalization, then float32. ``targets`` are
    probabilities, float32 (N, classes)."""

    images: Tensor
    targets: Tensor


class AugmentationStage(Protocol):
    """A stage: ``draw`` draws its random parameters for a plan's global batch, None if it has
    none; ``apply`` applies them."""

    def draw(self, plan: BatchPlan) -> Any: ...

    def apply(self, batch: Batch, drawn: Any) -> Batch: ...


class Operate:
    """RandAugment or TrivialAugment."""

    def __init__(self, named: Policy, size: int):
        self._policy, self._size = named, size

    def draw(self, plan: BatchPlan) -> Operations:
        return self._policy.draw(plan.rng, len(plan.images), self._size)

    def apply(self, batch: Batch, drawn: Operations) -> Batch:
        return batch._replace(images=operations.apply(batch.images, drawn, self._policy.fill))


class Normalize:
    def draw(self, _plan: BatchPlan) -> None:
        return None

    def apply(self, batch: Batch, _drawn: None) -> Batch:
        return batch._replace(images=augment.normalize(batch.images))


class Erase:
    """Random erasing, filled with noise or the mean color."""

    def __init__(self, probability: float, size: int, fill: Tensor | None):
        self._probability, self._size, self._fill = probability, size, fill

    def draw(self, plan: BatchPlan) -> Erasing:
        return sampling.draw_erasing(plan.rng, len(plan.images), self._size, self._probability)

    def apply(self, batch: Batch, drawn: Erasing) -> Batch:
        return batch._replace(images=augment.erase(batch.images, drawn, self._fill))


class Mix:
    """Mixup and CutMix of neighbors, with one alpha each."""

    def __init__(self, mixup: float, cutmix: float, size: int):
        self._alphas, self._size = (mixup, cutmix), size

    def draw(self, plan: BatchPlan) -> Mixing:
        return sampling.draw_mixing(plan.rng, len(plan.images), self._size, *self._alphas)

    def apply(self, batch: Batch, drawn: Mixing) -> Batch:
        return Batch(*augment.mix(*batch, drawn))


def stages(recipe: Recipe, device: torch.device) -> tuple[AugmentationStage, ...]:
    """Return the stages of ``recipe``, in order. Raises ``DataError`` for an unknown policy."""
    size, named = recipe.train_size, policy(recipe.auto_augment)
    found: list[AugmentationStage] = [Operate(named, size)] if named else []
    found.append(Normalize())
    if recipe.random_erasing:
        fill = augment.ERASING_FILLS[recipe.erasing_fill](device)
        found.append(Erase(recipe.random_erasing, size, fill))
    if recipe.mixes:
        found.append(Mix(recipe.mixup, recipe.cutmix, size))
    return tuple(found)


def augmented(
    batch: Batch,
    plans: Sequence[BatchPlan],
    applied: Sequence[AugmentationStage],
    seen: Callable[[Any], None] | None = None,
) -> Batch:
    """Apply the stages to ``batch``, the concatenated crops of ``plans``; ``seen`` is called with
    each stage's draws."""
    for stage in applied:
        each = [stage.draw(plan) for plan in plans]
        drawn = None if each[0] is None else sampling.own_draws(plans, each)
        batch = stage.apply(batch, drawn)
        if seen is not None:
            seen(drawn)
    return batch
