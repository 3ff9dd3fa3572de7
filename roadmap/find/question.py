"""What is asked of the finder, and which measured figure answers it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from models.text import said
from roadmap.errors import RefusedError
from roadmap.text import number


@dataclass(frozen=True)
class Objective:
    """A measured quantity: its name, unit, and whether more of it is better."""

    name: str
    best: str
    unit: str
    axis: str
    more_is_better: bool = False

    def show(self, value: float) -> str:
        """Format ``value`` with its unit and three significant digits."""
        decimals = 0 if value >= 100 else 1 if value >= 10 else 2
        return f"{number(value, decimals)} {self.unit}"


OBJECTIVES = {
    "latency": Objective("latency", "fastest", "ms", "Latency, ms per batch (log scale)"),
    "throughput": Objective(
        "throughput", "fastest", "images/s", "Throughput, images/s (log scale)", True
    ),
    "memory": Objective("peak memory", "smallest", "GB", "Peak memory, GB (log scale)"),
}
DTYPES = ("float32", "bf16", "fp16")
#: Limits of a question's numbers: top-1 in percent, images per batch.
TOP1, BATCH_SIZES = (50.0, 100.0), (1, 4096)


def plain_device(name: str) -> str:
    """Return a device's name without marks such as (R), for texts."""
    return re.sub(r"\((R|TM)\)", "", name)


@dataclass(frozen=True, kw_only=True)
class Question:
    """At least ``top1`` percent on a device; inference, eager mode, channels_last.

    ``device`` is its kind, such as ``cuda``, ``device_name`` the hardware. Raises ``RefusedError``
    for an invalid value.
    """

    top1: float
    device: str
    device_name: str
    batch_size: int = 1
    dtype: str = "bf16"
    objective: str = "latency"

    def __post_init__(self) -> None:
        for name, value, (low, high) in (
            ("top-1", self.top1, TOP1),
            ("the batch size", self.batch_size, BATCH_SIZES),
        ):
            if not low <= value <= high:
                raise RefusedError(f"{name} is {value:g}; use {low:g} to {high:g}")
        for name, chosen, options in (
            ("the precision", self.dtype, DTYPES),
            ("the objective", self.objective, tuple(OBJECTIVES)),
        ):
            if chosen not in options:
                raise RefusedError(f"{name} is {said(chosen)}; use {' or '.join(options)}")

    @property
    def measured(self) -> Objective:
        return OBJECTIVES[self.objective]

    @property
    def conditions(self) -> str:
        return f"{plain_device(self.device_name)}, batch {self.batch_size}, {self.dtype}"

    @property
    def is_timed(self) -> bool:
        """Whether other work on the machine changes the asked figure: it does not change memory."""
        return self.objective != "memory"

    def applies_to(self, row: Mapping[str, Any]) -> bool:
        """Whether a measured row was timed under the question's conditions."""
        return (
            row["device_name"] == self.device_name
            and row["dtype"] == self.dtype
            and int(row["batch_size_asked"]) == self.batch_size
        )

    def value(self, row: Mapping[str, Any]) -> float | None:
        """Return the asked figure of a measured row, or None if it has none.

        Latency and memory are those of the whole batch, so a batch that did not fit has none.
        """
        if self.objective == "throughput":
            return float(row["images_per_s"])
        if int(row["batch_size"]) != self.batch_size:
            return None
        if self.objective == "latency":
            return 1000 * self.batch_size / float(row["images_per_s"])
        return float(row["peak_memory_gb"]) if row["peak_memory_gb"] else None

    def better(self, one: float, other: float) -> bool:
        return one > other if self.measured.more_is_better else one < other
