"""Speeds that the finder measured, for the networks of the page Sizes."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from dataclasses import dataclass

from models.variants import TIMM_NAMES
from roadmap.find.store import Row
from roadmap.tables.sizes import MEASURED
from roadmap.text import slug

#: Names on the page Sizes by source and name: networks of either source have a twin in the other.
NAMES = MEASURED | {
    twin: MEASURED[one]
    for name, timm in TIMM_NAMES.items()
    for one, twin in itertools.permutations((("variant", name), ("timm", timm)))
    if one in MEASURED
}


@dataclass(frozen=True)
class Speeds:
    """Images/s under one condition, by name and image size; ``key`` identifies the condition."""

    key: str
    conditions: str
    images_per_s: dict[tuple[str, int], float]


def measured_speeds(rows: Iterable[Row]) -> list[Speeds]:
    """Return the speeds of each condition with at least two networks of the page.

    Of twins, ours counts.
    """
    found: dict[str, dict[tuple[str, int], float]] = {}
    ours_last = sorted(rows, key=lambda row: row["source"] == "variant")
    for row in ours_last:
        name = NAMES.get((row["source"], row["name"]))
        if name is None:
            continue
        conditions = f"{row['device_name']}, {row['dtype']}, batch {row['batch_size_asked']}"
        place = name, int(row["image_size"])
        found.setdefault(conditions, {})[place] = float(row["images_per_s"])
    return [
        Speeds(slug(conditions), conditions, speeds)
        for conditions, speeds in sorted(found.items())
        if len(speeds) > 1
    ]
