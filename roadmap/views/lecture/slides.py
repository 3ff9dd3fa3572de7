"""What lecture mode shows of each step: a drawing, a sentence and two or three figures."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import streamlit as st

from roadmap.definition import Roadmap, Step
from roadmap.drawing.scene import Column, Shape, scene, widest
from roadmap.palette import GRAY, GROUP_COLORS
from roadmap.steps import ROADMAPS
from roadmap.text import change, number, telling
from roadmap.views.common import recipe_changes, tables

if TYPE_CHECKING:
    from pandas import Series

#: Figures that are always shown, where there are any: column, name, unit, decimals.
ALWAYS = (("top1", "ImageNet-1K top-1, published", "%", 2), ("gflops", "GFLOPs per image", "", 2))
#: The one of these that changed most is shown as well.
MOST = (
    ("params", "million parameters", "", 1),
    ("activations", "million activations", "", 1),
    ("receptive_field", "pixels of receptive field", "", 0),
)
#: Most settings of a recipe that are shown one by one.
MOST_OF_RECIPE = 3


@st.cache_data(show_spinner=False)
def slides(name: str) -> list[dict[str, Any]]:
    """Return one slide per step of roadmap ``name``, as data for the browser."""
    roadmap = ROADMAPS[name]
    wide = widest(roadmap.config(key) for key in roadmap.keys)
    table = tables.steps(name)
    made = []
    for step in roadmap.steps:
        previous = roadmap.previous(step.key)
        drawn = scene(
            roadmap.config(previous.key) if previous else None, roadmap.config(step.key), wide
        )
        row = table.loc[step.key]
        before = table.loc[previous.key] if previous else None
        made.append(
            {
                **_words(step),
                "top1": _known(row["top1"]),
                "from": None if before is None else _known(before["top1"]),
                "figures": figures(row, before) + _of_the_recipe(roadmap, step.key),
                "network": _column(drawn.network),
                "block": _column(drawn.block),
                "described": drawn.described,
            }
        )
    return made


def _words(step: Step) -> dict[str, Any]:
    return {
        "key": step.key,
        "title": step.title,
        "group": step.group,
        "color": GROUP_COLORS.get(step.group, GRAY),
        "adopted": step.adopted,
        "sentence": step.hypothesis,
    }


def _of_the_recipe(roadmap: Roadmap, key: str) -> list[dict[str, str]]:
    """Return the new values of the recipe; their number, if they are too many to show."""
    changed = recipe_changes.rows(roadmap, key)
    if len(changed) > MOST_OF_RECIPE:
        return [{"large": str(len(changed)), "name": "settings of the recipe change", "small": ""}]
    return [
        {"large": after, "name": name, "small": f"before: {before}"}
        for name, before, after in changed
    ]


def figures(now: Series[Any], before: Series[Any] | None) -> list[dict[str, str]]:
    """Return two or three figures, large (the change) and small (the value now).

    The first step has nothing to change from, so its values are large.
    """
    shown = [each for each in ALWAYS if now[each[0]] == now[each[0]]]
    most = max(MOST, key=lambda each: _moved(now, before, each[0]))
    if _moved(now, before, most[0]):
        shown.append(most)
    return [_figure(now, before, *each) for each in shown]


def _moved(now: Series[Any], before: Series[Any] | None, column: str) -> float:
    """Return the relative change; without a step before, any figure counts alike."""
    return 1.0 if before is None else abs(now[column] / before[column] - 1)


def _figure(
    now: Series[Any], before: Series[Any] | None, column: str, name: str, unit: str, decimals: int
) -> dict[str, str]:
    if before is None or before[column] != before[column]:
        return {"large": f"{number(now[column], decimals)}{unit}", "name": name, "small": ""}
    decimals = telling(now[column], before[column], decimals)
    return {
        "large": change(now[column], before[column], decimals),
        "name": name,
        "small": f"now {number(now[column], decimals)}{unit}",
    }


def _known(value: float) -> float | None:
    return None if value != value else float(value)


def _column(column: Column) -> dict[str, Any]:
    return {
        "height": round(column.height, 1),
        "split": round(column.split, 1),
        "joined": round(column.joined, 1),
        "shapes": [_compact(shape) for shape in column.shapes],
    }


def _compact(shape: Shape) -> dict[str, Any]:
    """Leave out what is empty; every shape has a place."""
    return {name: value for name, value in asdict(shape).items() if value or name == "y"}
