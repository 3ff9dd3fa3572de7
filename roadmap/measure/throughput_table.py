"""``results/measured/throughput.csv``: one row per measured network, mode and setting."""

from __future__ import annotations

import datetime
import platform
from collections.abc import Iterable, Mapping
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from roadmap.measure.networks import split_name
from roadmap.tables.results import merge_rows

if TYPE_CHECKING:
    from roadmap.measure.throughput import Measurement

TABLE = "measured/throughput"
#: Columns that identify a measurement; a newer row replaces an older one.
KEY = (
    "source",
    "name",
    "mode",
    "device_name",
    "dtype",
    "channels_last",
    "compiled",
    "image_size",
    "batch_size_asked",
    "depthwise",
)


def row(measured: Measurement, place: tuple[str, str] | None = None) -> dict[str, Any]:
    """Return the table's row; ``results/measured/README.md`` describes the columns.

    ``place`` is the source and name of a network that was not measured by name; without it, such a
    network raises ``UnknownNetworkError``.
    """
    import torch

    source, name = place or split_name(measured.model)
    setting = measured.setting
    low, median, high = measured.rates
    memory = measured.peak_memory_gb
    return {
        "source": source,
        "name": name,
        "mode": setting.mode,
        "device": setting.device,
        "device_name": measured.device_name,
        "dtype": setting.dtype,
        "channels_last": setting.channels_last,
        "compiled": setting.compiled,
        "batch_size": measured.batch_size,
        "image_size": setting.image_size,
        "repetitions": len(measured.seconds),
        "images_per_s": round(median, 2),
        "images_per_s_p10": round(low, 2),
        "images_per_s_p90": round(high, 2),
        "peak_memory_gb": None if memory is None else round(memory, 3),
        "torch": version("torch"),
        "timm": version("timm"),
        "torchvision": version("torchvision"),
        "python": platform.python_version(),
        "date": datetime.date.today().isoformat(),
        "cuda": torch.version.cuda if setting.device == "cuda" else None,
        "batch_size_asked": setting.batch_size,
        "depthwise": measured.depthwise,
    }


def save(rows: Iterable[Mapping[str, Any]]) -> None:
    """Add ``rows`` to the table, replacing rows of the same measurement in place."""
    merge_rows(TABLE, KEY, rows)
