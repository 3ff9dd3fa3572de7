"""Policies that draw operations and strengths per image: RandAugment and TrivialAugmentWide.

They draw arrays for a whole batch, with the operations, probabilities and strengths of timm's
RandAugment (Cubuk et al. 2020) and torchvision's TrivialAugmentWide (Mueller and Hutter 2021).
``operations`` applies them.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum

import numpy as np

from models.text import said
from roadmap.train.data.images import DataError


class Op(IntEnum):
    """An operation; the comment gives the meaning of its argument."""

    IDENTITY = 0
    SHEAR_X = 1  # horizontal pixels per row
    SHEAR_Y = 2
    TRANSLATE_X = 3  # pixels to the left
    TRANSLATE_Y = 4
    ROTATE = 5  # degrees counterclockwise
    BRIGHTNESS = 6  # factor; 1 leaves the image unchanged, as for the next three
    CONTRAST = 7
    COLOR = 8
    SHARPNESS = 9
    AUTOCONTRAST = 10
    EQUALIZE = 11
    INVERT = 12
    POSTERIZE = 13  # bits kept
    SOLARIZE = 14  # values from this one on are inverted
    SOLARIZE_ADD = 15  # added to values under 128


GEOMETRIC = (Op.SHEAR_X, Op.SHEAR_Y, Op.TRANSLATE_X, Op.TRANSLATE_Y, Op.ROTATE)


@dataclass(frozen=True)
class Operations:
    """Operations in order: ``code`` (of ``Op``) int64 and ``argument`` float32, (N, layers)."""

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

#: By timm's name: operation, and argument from level (0 to 1), sign and image size.
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
    """timm's RandAugment: ``layers`` operations per image, each with probability ``applied``."""

    names: tuple[str, ...]
    layers: int
    applied: float
    magnitude: float
    deviation: float
    most: float
    #: Fill of uncovered edges: ImageNet's mean color.
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
    """torchvision's TrivialAugmentWide: one operation per image, 31 equally likely strengths."""

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
    """Return the policy of a recipe's ``auto_augment``: none, trivial or timm's ``rand-...``.

    Raises ``DataError`` for anything else.
    """
    if text == "none":
        return None
    if text == "trivial":
        return TrivialAugment()
    return _rand_augment(text)


def _rand_augment(text: str) -> RandAugment:
    """Parse as timm's ``rand_augment_transform``, whose import takes seconds: m magnitude, n
    layers, p probability, mstd the magnitude's deviation, mmax its maximum, inc1 if all operations
    get stronger with it."""
    wanted = (
        f"auto_augment is {said(text)}; use none, trivial or a policy such as rand-m9-mstd0.5-inc1"
    )
    sections = re.findall(r"-([a-z]+)(\d+(?:\.\d+)?)", text)
    given = dict(sections)
    if text != "rand" + "".join(f"-{name}{value}" for name, value in sections):
        raise DataError(wanted)
    if len(given) < len(sections) or not given.keys() <= {"m", "n", "p", "mstd", "mmax", "inc"}:
        raise DataError(wanted)
    try:
        magnitude, layers, most, increasing = (
            int(given.get(name, default))
            for name, default in (("m", 10), ("n", 2), ("mmax", 10), ("inc", 0))
        )
    except ValueError:
        raise DataError(wanted) from None
    deviation = float(given.get("mstd", 0))
    return RandAugment(
        _operation_names(bool(increasing)),
        layers,
        float(given.get("p", 0.5)),
        magnitude,
        deviation if deviation <= 100 else math.inf,
        most or 10,
    )


def _operation_names(increasing: bool) -> tuple[str, ...]:
    names = [name for name in RAND_AUGMENT_OPS if not name.endswith("Increasing")]
    stronger = [f"{name}Increasing" for name in names]
    if not increasing:
        return tuple(names)
    pairs = zip(names, stronger, strict=True)
    return tuple(more if more in RAND_AUGMENT_OPS else name for name, more in pairs)
