"""What lecture mode shows of each step: a drawing, a sentence and two or three figures."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import streamlit as st

from roadmap.definition import Step
from roadmap.drawing.scene import Scene, Shape, ShapeColumn, scene, widest
from roadmap.palette import GRAY, GROUP_COLORS
from roadmap.steps import ROADMAPS, source
from roadmap.text import change, number, telling
from roadmap.views.common import tables
from roadmap.views.common.recipe_text import recipe_changes

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
                "figures": figures(row, before),
                "network": _column(drawn.network),
                "block": _column(drawn.block),
                "described": drawn.described,
                "recipe": recipe_changes(roadmap, step.key),
                "views": views(drawn, bool(recipe_changes(roadmap, step.key))),
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
        "sentence": step.hypothesis or step.why,
        "source": source(step),
    }


def views(drawn: Scene, recipe: bool) -> list[str]:
    """Return what a slide can show, first the view with the most changed layers and blocks.

    The changes of the recipe come first if none changes. The words beside a stage do not count:
    its channels follow from its blocks.
    """
    changed = {
        name: sum(bool(shape.mark) and shape.kind != "stage" for shape in column.shapes)
        for name, column in (("network", drawn.network), ("block", drawn.block))
    }
    if not any(changed.values()):
        return ["recipe", "block", "network"] if recipe else ["block", "network"]
    ordered = sorted(changed, key=lambda name: -changed[name])
    return [*ordered, "recipe"] if recipe else ordered


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
    old, new = number(before[column], decimals), f"{number(now[column], decimals)}{unit}"
    moved = change(now[column], before[column], decimals)
    same = now[column] == before[column]
    return {"large": moved, "name": name, "small": f"still {new}" if same else f"{old} → {new}"}


def _known(value: float) -> float | None:
    return None if value != value else float(value)


def _column(column: ShapeColumn) -> dict[str, Any]:
    return {
        "height": round(column.height, 1),
        "split": round(column.split, 1),
        "joined": round(column.joined, 1),
        "shapes": [_compact(shape) for shape in column.shapes],
    }


def _compact(shape: Shape) -> dict[str, Any]:
    """Leave out what is empty; every shape has a place."""
    return {name: value for name, value in asdict(shape).items() if value or name == "y"}
