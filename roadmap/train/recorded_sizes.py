"""The image sizes that trained weights record. Imports no torch."""

from __future__ import annotations

import json
from pathlib import Path

from safetensors import safe_open

from roadmap.runs.record import WEIGHTS_OF
from roadmap.train.settings import MOST_PIXELS

#: In this order: of training, of testing, and before the central crop in testing.
SIZE_FIELDS = ("train_size", "test_size", "test_resize")


def recorded_sizes(weights: str) -> dict[str, int]:
    """Return the recipe's ``SIZE_FIELDS`` in a file or the folder of a run; nothing if the weights,
    such as published ones, do not record them. ``read_start`` reports files that cannot be read.
    """
    try:
        path = Path(weights)
        path = path / WEIGHTS_OF["top1"] if path.is_dir() else path
        with safe_open(path, framework="numpy") as file:
            recipe = json.loads((file.metadata() or {})["recipe"])
        sizes = {name: recipe[name] for name in SIZE_FIELDS}
    except Exception:  # the library's errors, and others for a damaged file
        return {}
    good = all(type(size) is int and 1 <= size <= MOST_PIXELS for size in sizes.values())
    return sizes if good and sizes["test_resize"] >= sizes["test_size"] else {}
