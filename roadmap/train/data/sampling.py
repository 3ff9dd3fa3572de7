"""Random draws for a batch, made for the whole global batch at once.

Every number comes from a generator keyed by (seed, epoch, step, subject), independent of workers,
processes and earlier draws. Each process takes its slice of the drawn arrays, so that any number of
processes sees the same global batch, and a run can start at any step.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from functools import cached_property
from typing import TYPE_CHECKING, TypeVar

import numpy as np

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

#: Subjects of the generators: the order of an epoch, a batch, a single image.
ORDER, BATCH, IMAGE = range(3)

#: Share of the area that a random crop keeps: the usual one for ImageNet, and a milder one for
#: ``pocket``, whose images are too small to be recognized from a part.
CROP_AREA = {"full": (0.08, 1.0), "pocket": (0.75, 1.0)}
CROP_RATIO = (3 / 4, 4 / 3)


@dataclass(frozen=True)
class View:
    """Sizes of images in pixels, and ``area``, the share that a random crop keeps."""

    train_size: int
    test_size: int
    test_resize: int
    interpolation: str
    area: tuple[float, float]
    flips: bool


@dataclass(frozen=True)
class BatchPlan:
    """A batch plan: ``key`` is (seed, epoch, step), ``images`` (B,) are those of the global batch,
    ``mine`` this process's positions in it."""

    key: tuple[int, int, int]
    images: np.ndarray
    mine: slice

    @cached_property
    def rng(self) -> np.random.Generator:
        """Return the generator of a global batch: crops, operations, erasing, mixing."""
        return generator(*self.key, BATCH)


def generator(*key: int) -> np.random.Generator:
    """Return a generator that depends only on ``key`` (non-negative integers)."""
    return np.random.Generator(np.random.Philox(np.random.SeedSequence(key)))


def steps_per_epoch(images: int, batch_size: int) -> int:
    """Return the number of full batches per epoch; at least one, in which the images of a set
    smaller than a batch repeat."""
    return max(images // batch_size, 1)


def epoch_order(
    seed: int, epoch: int, images: int, batch_size: int, repeats: int, steps: int | None = None
) -> np.ndarray:
    """Return the image at every position of an epoch, int64 (steps * batch_size,).

    An epoch has ``steps`` [default: ``steps_per_epoch``]; remaining images are dropped. A set too
    small for them is repeated in a new order. With ``repeats`` n, an epoch has 1/n of the
    images, n times each (Hoffer et al. 2020): the copies of an image are in the same batch, spread
    so that no two are neighbors and every process gets some.
    """
    total = (steps or steps_per_epoch(images, batch_size)) * batch_size
    rng = generator(seed, epoch, 0, ORDER)
    copies = max(repeats, 1)
    distinct = -(-total // copies)
    passes = -(-distinct // images)
    order = np.concatenate([rng.permutation(images) for _ in range(passes)])[:distinct]
    if copies == 1:
        return order
    batches = np.repeat(order, copies)[:total].reshape(-1, batch_size)
    apart = np.concatenate([np.arange(batch_size)[start::copies] for start in range(copies)])
    return batches[:, apart].reshape(-1)


@dataclass(frozen=True)
class Crops:
    """Random resized crops: ``box`` int64 (N, 4) is top, left, height, width; ``flip`` (N,)."""

    box: np.ndarray
    flip: np.ndarray


@dataclass(frozen=True)
class Mixing:
    """Mixup and CutMix: image i becomes ``share`` of itself plus the rest of its neighbor.

    ``box`` int64 (N, 4), top, left, bottom, right, is the part that CutMix copies from the
    neighbor; it is empty for Mixup. ``share`` is float32 (N,).
    """

    cut: np.ndarray
    share: np.ndarray
    box: np.ndarray


@dataclass(frozen=True)
class Erasing:
    """Rectangles to erase: ``box`` int64 (N, 4) is top, left, bottom, right, or empty.

    ``offset`` (N,), from 0 to 1, is the start of a rectangle's noise in the noise bank.
    """

    box: np.ndarray
    offset: np.ndarray


def draw_crops(
    rng: np.random.Generator, sizes: np.ndarray, area: tuple[float, float], flips: bool
) -> Crops:
    """Draw crops for images of ``sizes`` int64 (N, 2): height, width. As in torchvision: 10 tries,
    then a central crop of the nearest allowed shape."""
    count = len(sizes)
    height, width = sizes[:, :1], sizes[:, 1:]
    target = rng.uniform(*area, (count, 10)) * height * width
    narrowest, widest = np.log(CROP_RATIO)
    ratio = np.exp(rng.uniform(narrowest, widest, (count, 10)))
    crop_h = np.maximum(np.rint(np.sqrt(target / ratio)), 1)
    crop_w = np.maximum(np.rint(np.sqrt(target * ratio)), 1)
    fits = (crop_h <= height) & (crop_w <= width)
    rows, first = np.arange(count), fits.argmax(axis=1)
    height, width = height[:, 0], width[:, 0]
    central_h = np.minimum(height, np.rint(width / CROP_RATIO[0]))
    central_w = np.minimum(width, np.rint(height * CROP_RATIO[1]))
    found = fits.any(axis=1)
    crop_h = np.where(found, crop_h[rows, first], central_h)
    crop_w = np.where(found, crop_w[rows, first], central_w)
    place = np.where(found, rng.random((2, count)), 0.5)
    top = np.floor(place[0] * (height - crop_h + found))
    left = np.floor(place[1] * (width - crop_w + found))
    flip = (rng.random(count) < 0.5) & flips
    return Crops(np.stack([top, left, crop_h, crop_w], axis=1).astype(np.int64), flip)


def batch_crops(plans: Sequence[BatchPlan], sizes: np.ndarray, view: View) -> Crops:
    """Draw the crops of each plan from images of ``sizes``: this process's part, end to end."""
    drawn = [draw_crops(plan.rng, sizes[plan.images], view.area, view.flips) for plan in plans]
    return own_draws(plans, drawn)


def draw_mixing(
    rng: np.random.Generator, count: int, size: int, mixup: float, cutmix: float
) -> Mixing:
    """Draw for ``count`` (even) images of ``size`` pixels; neighbors 2i, 2i + 1 share a draw.

    As timm's Mixup in mode ``pair`` with probability 1; if both kinds are used, they are equally
    likely.
    """
    pairs = count // 2
    cut = rng.random(pairs) < 0.5 if mixup and cutmix else np.full(pairs, bool(cutmix))
    soft = rng.beta(mixup, mixup, pairs) if mixup else np.ones(pairs)
    hard = rng.beta(cutmix, cutmix, pairs) if cutmix else np.ones(pairs)
    side = (size * np.sqrt(1 - hard)).astype(np.int64)
    center = rng.integers(0, size, (2, pairs))
    low = np.clip(center - side // 2, 0, size)
    high = np.clip(center + (side + 1) // 2, 0, size)
    box = np.stack([*low, *high], axis=1) * cut[:, None]
    area = (box[:, 2] - box[:, 0]) * (box[:, 3] - box[:, 1])
    share = np.where(cut, 1 - area / size**2, soft).astype(np.float32)
    return Mixing(*(np.repeat(drawn, 2, axis=0) for drawn in (cut, share, box)))


def draw_erasing(rng: np.random.Generator, count: int, size: int, probability: float) -> Erasing:
    """Draw as timm's random erasing: 2% to 33% of the area, aspect 0.3 to 3.3, 10 tries."""
    area = rng.uniform(0.02, 1 / 3, (count, 10)) * size**2
    ratio = np.exp(rng.uniform(np.log(0.3), np.log(1 / 0.3), (count, 10)))
    height, width = np.rint(np.sqrt(area * ratio)), np.rint(np.sqrt(area / ratio))
    fits = (height < size) & (width < size)
    rows, first = np.arange(count), fits.argmax(axis=1)
    height, width = height[rows, first], width[rows, first]
    place = rng.random((2, count))
    top = np.floor(place[0] * (size - height + 1))
    left = np.floor(place[1] * (size - width + 1))
    chosen = (rng.random(count) < probability) & fits.any(axis=1)
    box = np.stack([top, left, top + height, left + width], axis=1).astype(np.int64)
    return Erasing(box * chosen[:, None], rng.random(count))


Drawn = TypeVar("Drawn", bound="DataclassInstance")


def own_draws(plans: Sequence[BatchPlan], drawn: Sequence[Drawn]) -> Drawn:
    """What was drawn for each plan's global batch, cut to this process's part, end to end."""
    columns = (
        [getattr(one, field.name)[plan.mine] for one, plan in zip(drawn, plans, strict=True)]
        for field in fields(drawn[0])
    )
    return type(drawn[0])(*(np.concatenate(column) for column in columns))


def own_images(plans: Sequence[BatchPlan]) -> np.ndarray:
    """Concatenate the images of this process's part of each plan."""
    return np.concatenate([plan.images[plan.mine] for plan in plans])
