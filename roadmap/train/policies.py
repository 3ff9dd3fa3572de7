"""Which operation changes which image, and how strongly: RandAugment and TrivialAugmentWide.

Drawn as arrays for a whole batch, with the operations, probabilities and strengths of timm's
RandAugment (Cubuk et al. 2020) and torchvision's TrivialAugmentWide (Mueller and Hutter 2021).
``operations`` carries them out.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum

import numpy as np

from models.text import said
from roadmap.train.images import DataError


class Op(IntEnum):
    """An operation; what its argument means stands behind it."""

    IDENTITY = 0
    SHEAR_X = 1  # pixels sideways a row
    SHEAR_Y = 2
    TRANSLATE_X = 3  # pixels to the left
    TRANSLATE_Y = 4
    ROTATE = 5  # degrees counterclockwise
    BRIGHTNESS = 6  # factor; 1 is the image, also for the next three
    CONTRAST = 7
    COLOR = 8
    SHARPNESS = 9
    AUTOCONTRAST = 10
    EQUALIZE = 11
    INVERT = 12
    POSTERIZE = 13  # bits kept
    SOLARIZE = 14  # values from this one up are inverted
    SOLARIZE_ADD = 15  # added to values under 128


GEOMETRIC = (Op.SHEAR_X, Op.SHEAR_Y, Op.TRANSLATE_X, Op.TRANSLATE_Y, Op.ROTATE)


@dataclass(frozen=True)
class Operations:
    """``code`` int64 (N, layers) of ``Op``, applied in order; ``argument`` float32 alike."""

    code: np.ndarray
    argument: np.ndarray


Strength = Callable[[np.ndarray, np.ndarray, int], np.ndarray]


def _enhance(level: np.ndarray, _sign: np.ndarray, _size: int) -> np.ndarray:
    return level * 1.8 + 0.1


def _enhance_increasing(level: np.ndarray, sign: np.ndarray, _size: int) -> np.ndarray:
    return np.maximum(1 + sign * level * 0.9, 0.1)


def _signed(most: float) -> Strength:
    return lambda level, sign, _size: sign * level * most


def _fraction_of_size(most: float) -> Strength:
    return lambda level, sign, size: sign * level * most * size


def _whole(function: Callable[[np.ndarray], np.ndarray]) -> Strength:
    return lambda level, _sign, _size: function(level)


_NONE = _whole(np.zeros_like)

#: timm's names: the operation, and its argument from level (0 to 1), sign and image size.
RAND_AUGMENT_OPS: dict[str, tuple[Op, Strength]] = {
    "AutoContrast": (Op.AUTOCONTRAST, _NONE),
    "Equalize": (Op.EQUALIZE, _NONE),
    "Invert": (Op.INVERT, _NONE),
    "Rotate": (Op.ROTATE, _signed(30)),
    "Posterize": (Op.POSTERIZE, _whole(lambda level: np.trunc(level * 4))),
    "PosterizeIncreasing": (Op.POSTERIZE, _whole(lambda level: 4 - np.trunc(level * 4))),
    "Solarize": (Op.SOLARIZE, _whole(lambda level: np.trunc(level * 256))),
    "SolarizeIncreasing": (Op.SOLARIZE, _whole(lambda level: 256 - np.trunc(level * 256))),
    "SolarizeAdd": (Op.SOLARIZE_ADD, _whole(lambda level: np.minimum(np.trunc(level * 110), 128))),
    "Color": (Op.COLOR, _enhance),
    "ColorIncreasing": (Op.COLOR, _enhance_increasing),
    "Contrast": (Op.CONTRAST, _enhance),
    "ContrastIncreasing": (Op.CONTRAST, _enhance_increasing),
    "Brightness": (Op.BRIGHTNESS, _enhance),
    "BrightnessIncreasing": (Op.BRIGHTNESS, _enhance_increasing),
    "Sharpness": (Op.SHARPNESS, _enhance),
    "SharpnessIncreasing": (Op.SHARPNESS, _enhance_increasing),
    "ShearX": (Op.SHEAR_X, _signed(0.3)),
    "ShearY": (Op.SHEAR_Y, _signed(0.3)),
    "TranslateXRel": (Op.TRANSLATE_X, _fraction_of_size(0.45)),
    "TranslateYRel": (Op.TRANSLATE_Y, _fraction_of_size(0.45)),
}


@dataclass(frozen=True)
class RandAugment:
    """timm's: ``layers`` operations an image, each left out with probability 1 - ``applied``."""

    names: tuple[str, ...]
    layers: int
    applied: float
    magnitude: float
    deviation: float
    most: float
    #: What is uncovered at the edges: ImageNet's mean color.
    fill: tuple[int, int, int] = (124, 116, 104)

    def draw(self, rng: np.random.Generator, count: int, size: int) -> Operations:
        shape = (count, self.layers)
        which = rng.integers(0, len(self.names), shape)
        kept = rng.random(shape) <= self.applied
        sign = np.where(rng.random(shape) > 0.5, -1.0, 1.0)
        level = self._levels(rng, shape) / 10
        code, argument = np.zeros(shape, dtype=np.int64), np.zeros(shape, dtype=np.float32)
        for place, name in enumerate(self.names):
            here = kept & (which == place)
            operation, strength = RAND_AUGMENT_OPS[name]
            code[here] = operation
            argument[here] = strength(level[here], sign[here], size)
        return Operations(code, argument)

    def _levels(self, rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
        if np.isinf(self.deviation):
            return rng.uniform(0, self.magnitude, shape)
        return np.clip(rng.normal(self.magnitude, self.deviation, shape), 0, self.most)


@dataclass(frozen=True)
class TrivialAugment:
    """torchvision's TrivialAugmentWide: one operation an image, 31 strengths alike likely."""

    fill: tuple[int, int, int] = (0, 0, 0)

    def draw(self, rng: np.random.Generator, count: int, size: int) -> Operations:  # noqa: ARG002
        which = rng.integers(0, len(TRIVIAL_OPS), count)
        level = rng.integers(0, 31, count) / 30
        sign = np.where(rng.random(count) > 0.5, -1.0, 1.0)
        code, argument = np.zeros(count, dtype=np.int64), np.zeros(count, dtype=np.float32)
        for place, (operation, strength) in enumerate(TRIVIAL_OPS):
            here = which == place
            code[here] = operation
            argument[here] = strength(level[here], sign[here])
        return Operations(code[:, None], argument[:, None])


def _factor(level: np.ndarray, sign: np.ndarray) -> np.ndarray:
    return 1 + sign * level * 0.99


def _shear(level: np.ndarray, sign: np.ndarray) -> np.ndarray:
    return sign * level * 0.99


def _pixels(level: np.ndarray, sign: np.ndarray) -> np.ndarray:
    return sign * np.trunc(level * 32)


def _nothing(level: np.ndarray, _sign: np.ndarray) -> np.ndarray:
    return np.zeros_like(level)


TRIVIAL_OPS: tuple[tuple[Op, Callable[[np.ndarray, np.ndarray], np.ndarray]], ...] = (
    (Op.IDENTITY, _nothing),
    (Op.SHEAR_X, _shear),
    (Op.SHEAR_Y, _shear),
    (Op.TRANSLATE_X, _pixels),
    (Op.TRANSLATE_Y, _pixels),
    (Op.ROTATE, lambda level, sign: sign * level * 135),
    (Op.BRIGHTNESS, _factor),
    (Op.COLOR, _factor),
    (Op.CONTRAST, _factor),
    (Op.SHARPNESS, _factor),
    (Op.POSTERIZE, lambda level, _sign: 8 - np.rint(level * 6)),
    (Op.SOLARIZE, lambda level, _sign: 255 - level * 255),
    (Op.AUTOCONTRAST, _nothing),
    (Op.EQUALIZE, _nothing),
)

Policy = RandAugment | TrivialAugment


def policy(text: str) -> Policy | None:
    """The policy that a recipe's ``auto_augment`` names: none, trivial or timm's ``rand-...``.

    Raises ``DataError`` for anything else.
    """
    if text == "none":
        return None
    if text == "trivial":
        return TrivialAugment()
    return _rand_augment(text)


def _rand_augment(text: str) -> RandAugment:
    from timm.data.auto_augment import rand_augment_transform

    wanted = f"auto_augment is {said(text)}; use none, trivial or one like rand-m9-mstd0.5-inc1"
    if not re.fullmatch(r"rand(-(m|n|p|mstd|mmax|inc)\d+(\.\d+)?)*", text):
        raise DataError(wanted)
    try:
        parsed = rand_augment_transform(text)
    except ValueError:
        raise DataError(wanted) from None
    names = tuple(operation.name for operation in parsed.ops)
    first = parsed.ops[0]
    most = float(first.magnitude_max or 10)
    return RandAugment(
        names, parsed.num_layers, first.prob, first.magnitude, first.magnitude_std, most
    )
