"""What a set of images is to training, and the checks that need no pixels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from roadmap.train.images import DataError

#: Parts a validation set goes by, the first one found being used.
VAL_NAMES = ("val", "validation", "test")


class Split(Protocol):
    """Training or validation images, in a fixed order."""

    labels: np.ndarray  # int64 (N,)

    def name(self, index: int) -> str:
        """What a message calls image ``index``."""

    def data(self, index: int) -> bytes:
        """Its bytes as stored: encoded, or the pixels themselves. Raises ``DataError``."""

    def detail(self, index: int) -> str:
        """What stands for the bytes of a set too large to read through: file name and size."""

    def pixels(self, index: int) -> np.ndarray:
        """uint8 (H, W, 3). Raises ``DataError``."""


@dataclass(frozen=True)
class Source:
    name: str
    class_names: tuple[str, ...]
    train: Split
    val: Split
    #: Whether a mirrored image is still of its class: not so for digits.
    mirrors: bool = True
    #: Whether the set itself names its classes; else ``class_names`` are the labels as text.
    named: bool = True
    #: What a reader should know about the set, a sentence each.
    notes: tuple[str, ...] = ()


def check_range(labels: np.ndarray, classes: int, where: str) -> None:
    low, high = int(labels.min()), int(labels.max())
    if low < 0 or high >= classes:
        wrong = low if low < 0 else high
        raise DataError(f"{where} has label {wrong}; with {classes} classes use 0 to {classes - 1}")


def check_classes(labels: np.ndarray, names: tuple[str, ...], where: str) -> None:
    """Every class has an image to train on."""
    check_range(labels, len(names), where)
    empty = np.flatnonzero(np.bincount(labels, minlength=len(names)) == 0)
    if len(empty):
        more = f" and {len(empty) - 1} more" if len(empty) > 1 else ""
        raise DataError(
            f"{where} has no image of class {int(empty[0])} ({names[empty[0]]}){more}: "
            "add images, or leave the class out and number the others without a gap"
        )


def val_notes(labels: np.ndarray, names: tuple[str, ...], where: Any) -> tuple[str, ...]:
    missing = np.flatnonzero(np.bincount(labels, minlength=len(names)) == 0)
    if not len(missing):
        return ()
    listed = ", ".join(names[label] for label in missing[:3]) + ("..." if len(missing) > 3 else "")
    return (f"{where} has no image of {len(missing)} of the {len(names)} classes: {listed}",)
