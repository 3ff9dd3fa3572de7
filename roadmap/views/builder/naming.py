"""Names of the builder's files, and the difference between A and B in words."""

from __future__ import annotations

import re

from models.config import ModelConfig
from models.variants import VARIANTS
from roadmap.text import number, signed
from roadmap.views.builder.tables import CostRow, costs
from roadmap.views.common.builder_address import Builder, format_chosen

#: Fields in a file's name; more are only counted.
MOST_FIELDS = 3
#: Costs in the sentence, with the words for them.
COMPARED = {
    "Parameters": "parameters",
    "GFLOPs": "GFLOPs",
    "Activations": "activations",
    "Activation memory": "activation memory",
}


def stem(builder: Builder) -> str:
    """Return the name of the current network's files: ``convnext-tiny-kernel-size-9-A``.

    A step that is a published network has its name. The letter is only there if two networks are
    compared.
    """
    point, *changes = format_chosen(builder.current).split("~")
    start = builder.current.start.config
    published = (name for name, config in VARIANTS.items() if config == start)
    parts = [next(published, point)]
    if len(changes) > MOST_FIELDS:
        changes = [f"{len(changes)}-changes"]
    parts += changes
    if builder.b:
        parts.append(builder.edited.upper())
    return re.sub(r"[^A-Za-z0-9-]+", "-", "-".join(parts))


def difference(a: ModelConfig, b: ModelConfig, image_size: int, *measured: str) -> str:
    """Say what B costs compared with A, with what was ``measured`` at the end.

    Raises ``ValueError`` if the image is too small.
    """
    pairs = zip(costs(a, image_size), costs(b, image_size), strict=True)
    said = [_change(one, other) for one, other in pairs if one.name in COMPARED]
    said += measured
    return f"B compared with A: {', '.join(said)}."


def _change(one: CostRow, other: CostRow) -> str:
    word = COMPARED[one.name]
    if one.value == other.value:
        return f"the same {word}"
    ratio = other.value / one.value
    if ratio >= 2:
        return f"{number(ratio, 1)} times the {word}"
    percent = 100 * (ratio - 1)
    size = abs(percent)
    return f"{signed(percent, 0 if size >= 10 else 1 if size >= 1 else 2)}% {word}"
