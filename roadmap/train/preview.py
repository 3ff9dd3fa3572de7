"""What training does to given pictures: the draws and the operations of ``data``, to be shown."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from roadmap.recipes import Recipe
from roadmap.train import augment, operations, resident, sampling
from roadmap.train.policies import RAND_AUGMENT_OPS, Op, Operations, Policy, RandAugment
from roadmap.train.policies import policy as named_policy
from roadmap.train.sampling import CROP_AREA, Erasing, Job, Mixing, View

#: RandAugment as both recipes that use it have it, but for the magnitude.
RAND_AUGMENT = re.compile(r"rand-m(\d+(?:\.\d+)?)-mstd0\.5-inc1")
#: How far its magnitude goes.
MOST = 10.0
#: An operation in words: with its argument, or for a negative and a positive one.
WORDS: dict[Op, str | tuple[str, str]] = {
    Op.SHEAR_X: ("shear x −{:.2f}", "shear x +{:.2f}"),
    Op.SHEAR_Y: ("shear y −{:.2f}", "shear y +{:.2f}"),
    Op.TRANSLATE_X: ("{:.0f} px right", "{:.0f} px left"),
    Op.TRANSLATE_Y: ("{:.0f} px down", "{:.0f} px up"),
    Op.ROTATE: ("{:.0f}° clockwise", "{:.0f}° counterclockwise"),
    Op.BRIGHTNESS: "brightness × {:.2f}",
    Op.CONTRAST: "contrast × {:.2f}",
    Op.COLOR: "colour × {:.2f}",
    Op.SHARPNESS: "sharpness × {:.2f}",
    Op.AUTOCONTRAST: "autocontrast",
    Op.EQUALIZE: "equalize",
    Op.INVERT: "invert",
    Op.POSTERIZE: "posterize to {:.0f} bits",
    Op.SOLARIZE: "solarize from {:.0f}",
    Op.SOLARIZE_ADD: "solarize, adding {:.0f}",
}


@dataclass(frozen=True)
class Preview:
    """``before`` and ``after`` uint8 (N, S, S, 3); ``notes`` (N,): what was drawn, in words."""

    before: np.ndarray
    after: np.ndarray
    notes: tuple[str, ...]


@dataclass(frozen=True)
class _Pictures:
    """Pictures as a split whose labels are their places (``source.Split``, as far as needed)."""

    pictures: Sequence[np.ndarray]

    @property
    def labels(self) -> np.ndarray:
        return np.arange(len(self.pictures))

    def pixels(self, index: int) -> np.ndarray:
        return self.pictures[index]


@torch.no_grad()
def preview(
    pictures: Sequence[np.ndarray], recipe: Recipe, seed: int, *, crop: bool = True
) -> Preview:
    """``pictures`` (uint8 (H, W, 3) each, an even number) as a batch of ``recipe``'s training.

    It is batch 0 of epoch 0 of a run with ``seed``, in the pictures' order. Before: as in
    validation, the centre at ``train_size`` pixels. ``crop`` false: augmentation starts from
    there, not from a random crop, so that what follows can be told from it. Raises ``DataError``
    for an unknown ``auto_augment``.
    """
    size = recipe.train_size
    view = View(size, size, size, recipe.interpolation, CROP_AREA[None], flips=True)
    reader = resident.load(_Pictures(pictures), view, torch.device("cpu"))
    job = Job((seed, 0, 0), np.arange(len(pictures)), slice(None))
    central = next(iter(reader.val_crops([job.images])))
    crops = next(iter(reader.train_crops([[job]]))) if crop else central.clone()
    images, notes = _augmented(crops, recipe, job)
    return Preview(_last(central), _last(denormalized(images)), notes)


def _augmented(crops: Tensor, recipe: Recipe, job: Job) -> tuple[Tensor, tuple[str, ...]]:
    """What ``data.Data`` does to crops, in its order; images normalized."""
    count, size = len(job.images), recipe.train_size
    words: list[list[str]] = [[] for _ in range(count)]
    policy = _policy(recipe.auto_augment)
    if policy is not None:
        operated = policy.draw(job.rng, count, size)
        crops = operations.apply(crops, operated, policy.fill)
        _add(words, _operation_words(operated))
    images = augment.normalize(crops)
    if recipe.random_erasing:
        erased = sampling.draw_erasing(job.rng, count, size, recipe.random_erasing)
        noise = augment.noise_bank(images.device) if recipe.erasing_fill == "noise" else None
        images = augment.erase(images, erased, noise)
        _add(words, _erasing_words(erased))
    if recipe.mixup or recipe.cutmix:
        mixed = sampling.draw_mixing(job.rng, count, size, recipe.mixup, recipe.cutmix)
        images, _ = augment.mix(images, torch.eye(count), mixed)
        _add(words, _mixing_words(mixed))
    return images, tuple(", ".join(said) or "unchanged" for said in words)


def _add(words: list[list[str]], said: Sequence[str]) -> None:
    for so_far, text in zip(words, said, strict=True):
        if text:
            so_far.append(text)


def _policy(text: str) -> Policy | None:
    """``policies.policy`` without timm, which takes seconds to import, where it can be."""
    known = RAND_AUGMENT.fullmatch(text)
    return rand_augment(float(known[1])) if known else named_policy(text)


def rand_augment(magnitude: float) -> RandAugment:
    """What ``rand-m<magnitude>-mstd0.5-inc1`` names: two operations, each applied or not."""
    names = tuple(name for name in RAND_AUGMENT_OPS if f"{name}Increasing" not in RAND_AUGMENT_OPS)
    return RandAugment(names, 2, 0.5, magnitude, 0.5, MOST)


def _operation_words(drawn: Operations) -> list[str]:
    return [
        ", ".join(
            _in_words(Op(code), argument)
            for code, argument in zip(codes, arguments, strict=True)
            if code != Op.IDENTITY
        )
        for codes, arguments in zip(drawn.code, drawn.argument, strict=True)
    ]


def _in_words(operation: Op, argument: float) -> str:
    words = WORDS[operation]
    if isinstance(words, tuple):
        return words[int(argument >= 0)].format(abs(argument))
    return words.format(argument)


def _erasing_words(drawn: Erasing) -> list[str]:
    return [
        f"erased {right - left} × {bottom - top} px" if bottom > top else ""
        for top, left, bottom, right in drawn.box.tolist()
    ]


def _mixing_words(drawn: Mixing) -> list[str]:
    return [
        f"{'CutMix' if cut else 'Mixup'}, {100 * share:.0f} % its own"
        for cut, share in zip(drawn.cut, drawn.share, strict=True)
    ]


def denormalized(images: Tensor) -> Tensor:
    """Normalized (N, 3, S, S) as uint8 again; what noise puts out of range is cut off."""
    mean, std = (torch.tensor(values)[:, None, None] for values in (augment.MEAN, augment.STD))
    return ((images * std + mean) * 255).round_().clamp_(0, 255).to(torch.uint8)


def _last(images: Tensor) -> np.ndarray:
    """(N, 3, S, S) to (N, S, S, 3)."""
    return images.permute(0, 2, 3, 1).contiguous().numpy()
