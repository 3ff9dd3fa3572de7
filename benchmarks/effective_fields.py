"""Measure the effective receptive field of every step of ResNet-50's roadmap.

``python benchmarks/effective_fields.py`` writes ``results/measured/effective_fields.csv``: the
sides of the smallest centered squares that hold 20%, 50% and 80% of the gradient.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from typing import Any

import torch

from roadmap.files import write_csv
from roadmap.measure.effective_field import (
    IMAGE_SIZE,
    SHARES,
    effective_field,
    image_count,
    untrained,
)
from roadmap.steps import ROADMAPS
from roadmap.tables.results import RESULTS

ROADMAP = ROADMAPS["resnet50"]
TABLE = RESULTS / "measured" / "effective_fields.csv"


def measured() -> Iterator[dict[str, Any]]:
    """Yield one row per step."""
    images = min(image_count(ROADMAP.config(key)) for key in ROADMAP.keys)
    for key in ROADMAP.keys:
        field = effective_field(untrained(ROADMAP.config(key)), images=images)
        yield {
            "roadmap": ROADMAP.name,
            "step": key,
            **{f"side_{100 * share:.0f}": field.side(share) for share in SHARES},
            "image_size": IMAGE_SIZE,
            "images": images,
            "torch": torch.__version__.split("+")[0],
            "date": date.today().isoformat(),
        }


if __name__ == "__main__":
    rows = []
    for row in measured():
        print(row)
        rows.append(row)
    write_csv(TABLE, tuple(rows[0]), rows)
