"""Preview of augmentation: training's draws and operations on given pictures."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from roadmap.recipes import Recipe
from roadmap.train.data import augment, in_memory
from roadmap.train.data.pipeline import Batch, augmented, stages
from roadmap.train.data.policies import Op, Operations
from roadmap.train.data.sampling import CROP_AREA, BatchPlan, Erasing, Mixing, View

#: Each operation in words, with its argument, or for a negative and a positive argument.
WORDS: dict[Op, str | tuple[str, str]] = {
    Op.SHEAR_X: ("shear x −{:.2f}", "shear x +{:.2f}"),
    Op.SHEAR_Y: ("shear y −{:.2f}", "shear y +{:.2f}"),
    Op.TRANSLATE_X: ("{:.0f} px right", "{:.0f} px left"),
    Op.TRANSLATE_Y: ("{:.0f} px down", "{:.0f} px up"),
    Op.ROTATE: ("{:.0f}° clockwise", "{:.0f}° counterclockwise"),
    Op.BRIGHTNESS: "brightness × {:.2f}",
    Op.CONTRAST: "contrast × {:.2f}",
    Op.COLOR: "color × {:.2f}",
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
    """``before`` and ``after`` uint8 (N, S, S, 3); ``notes`` (N,) describe the draws."""

    before: np.ndarray
    after: np.ndarray
    notes: tuple[str, ...]


@dataclass(frozen=True)
class _Pictures:
    """Pictures as a split (``split.Split``, as far as needed); labels are indices."""

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
    """Augment ``pictures`` (an even number, uint8 (H, W, 3) each) as a batch of ``recipe``.

    It is batch 0 of epoch 0 of a run with ``seed``, in the pictures' order. ``before`` is the
    central crop of ``train_size`` pixels, as in validation. Without ``crop``, augmentation starts
    from that instead of a random crop, so that its effects are easier to see. Raises ``DataError``
    for an unknown ``auto_augment``.
    """
    size = recipe.train_size
    view = View(size, size, size, recipe.interpolation, CROP_AREA["full"], flips=True)
    reader = in_memory.load(_Pictures(pictures), view, torch.device("cpu"))
    plan = BatchPlan((seed, 0, 0), np.arange(len(pictures)), slice(None))
    assert reader is not None  # pictures of a page are far below the limit
    central = next(iter(reader.val_crops([plan.images])))
    crops = next(iter(reader.train_crops([[plan]]))) if crop else central.clone()
    notes = _Notes(len(pictures))
    batch = Batch(crops, torch.eye(len(pictures)))
    images, _ = augmented(batch, [plan], stages(recipe, torch.device("cpu")), notes.add)
    return Preview(_last(central), _last(denormalized(images)), notes.texts())


class _Notes:
    """Collects the draws for each of ``count`` pictures, in words."""

    def __init__(self, count: int):
        self._words: list[list[str]] = [[] for _ in range(count)]

    def add(self, drawn: Operations | Erasing | Mixing | None) -> None:
        if drawn is None:
            return
        for words, text in zip(self._words, _WORDS[type(drawn)](drawn), strict=True):
            if text:
                words.append(text)

    def texts(self) -> tuple[str, ...]:
        return tuple(", ".join(words) or "unchanged" for words in self._words)


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
        f"{'CutMix' if cut else 'Mixup'}, {100 * share:.0f}% its own"
        for cut, share in zip(drawn.cut, drawn.share, strict=True)
    ]


_WORDS: dict[type, Callable[[Any], list[str]]] = {
    Operations: _operation_words,
    Erasing: _erasing_words,
    Mixing: _mixing_words,
}


def denormalized(images: Tensor) -> Tensor:
    """Convert normalized (N, 3, S, S) back to uint8; noise out of range is clipped."""
    mean, std = (torch.tensor(values)[:, None, None] for values in (augment.MEAN, augment.STD))
    return ((images * std + mean) * 255).round_().clamp_(0, 255).to(torch.uint8)


def _last(images: Tensor) -> np.ndarray:
    """Convert (N, 3, S, S) to (N, S, S, 3)."""
    return images.permute(0, 2, 3, 1).contiguous().numpy()
