"""The open place of the builder: the part that is drawn, and the controls beside it.

In the URL, ``part=stage2.norm`` draws a block of stage 2 and shows the controls of its norms.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from models.config import ModelConfig
from models.text import unknown_name
from roadmap.drawing.diagrams import part_names
from roadmap.drawing.network import HEAD, INPUT
from roadmap.drawing.svg import Area
from roadmap.views.common.fields import GROUPS, INPUTS

PARAMETER = "part"
#: The part that is drawn at first.
FIRST = "stage1"
#: Every part that some network has, since the network may lose a stage while it is open.
DRAWN = tuple(part_names(ModelConfig(depths=(1,) * 6)))
_SAID = (*GROUPS, "")  # an omitted group is the part's own
#: The controls of a layer, by the last word of its role in the block (``parts.roles_of``).
_LAYERS = {
    "spatial": "spatial",
    "Norm": "norm",
    "Activation": "activation",
    "after": "activation",
}


class Place(NamedTuple):
    """``drawn`` is a part that ``part_diagram`` draws, ``group`` a key of ``GROUPS``."""

    drawn: str = FIRST
    group: str = "stages"

    def __str__(self) -> str:
        return self.drawn if self.group == own_group(self.drawn) else f"{self.drawn}.{self.group}"


def own_group(drawn: str) -> str:
    """Return the controls that a part of the network opens."""
    if drawn.startswith("stage"):
        return "stages"
    return "downsampling" if drawn.startswith("first") else drawn


def problem(text: str) -> str:
    """Say what is wrong with the place ``text``, if anything."""
    drawn, _, group = text.partition(".")
    if drawn not in DRAWN:
        return unknown_name("part of the network", drawn, DRAWN)
    return unknown_name("group of controls", group, tuple(GROUPS)) if group not in _SAID else ""


def parse(text: str | None, config: ModelConfig) -> Place:
    """Return the place that ``text`` names; the first one if ``config`` does not have it."""
    drawn, _, group = (text or FIRST).partition(".")
    if text and problem(text):
        return Place()
    there = drawn if drawn in part_names(config) else FIRST
    return Place(there, group or own_group(there))


def group_of_layer(drawn: str, role: str) -> str:
    """Return the controls of the layer with ``role`` in the part ``drawn``."""
    if role.startswith("lead"):
        return own_group(drawn)
    if role.startswith("shortcut"):
        return "downsampling"
    return _LAYERS.get(role.rpartition(".")[2], "block")


def places_of_network(areas: Iterable[Area], open_place: Place) -> list[tuple[Area, Place]]:
    """Return where each area of the whole network's drawing leads."""
    others = {INPUT: INPUTS, HEAD: HEAD}
    return [
        (
            area,
            Place(open_place.drawn, others[area.name])
            if area.name in others
            else Place(area.name, own_group(area.name)),
        )
        for area in areas
    ]


def places_of_part(areas: Iterable[Area], open_place: Place) -> list[tuple[Area, Place]]:
    """Return where each layer of the open part's drawing leads."""
    drawn = open_place.drawn
    return [(area, Place(drawn, group_of_layer(drawn, area.name))) for area in areas]


def place_of_group(group: str, open_place: Place) -> Place:
    """Return the place with the controls ``group``, which keeps what is drawn if it can."""
    drawn = open_place.drawn
    if group == "stem":
        drawn = "stem"
    elif drawn == "stem" and group not in (HEAD, INPUTS):
        drawn = FIRST
    return Place(drawn, group)
