"""The map of every valid combination: predicted accuracy against cost."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlencode

import streamlit as st

from models.config import ModelConfig
from models.text import ended
from roadmap.charts import effects as charts
from roadmap.steps import ROADMAPS
from roadmap.study import text
from roadmap.study.atlas import Atlas, changed_titles
from roadmap.text import number
from roadmap.views.common import address, builder_address, experiments, figure, markup
from roadmap.views.common.controls import segments

if TYPE_CHECKING:
    from pandas import DataFrame

    from roadmap.study.effects import Effects
    from roadmap.study.experiment import Experiment

COSTS = {
    "gflops": ("GFLOPs", "GFLOPs per image at 224 pixels"),
    "parameters": ("Parameters", "Parameters, million"),
    "minutes": ("Training time", "Training time, minutes (estimated)"),
}
SELECTED = "at"


def show(experiment: Experiment, effects: Effects) -> None:
    cost, problem = address.option(st.query_params, "cost", tuple(COSTS))
    speed = experiments.speed(experiment) if cost == "minutes" else None
    if isinstance(speed, str):
        cost, problem, speed = "gflops", ended(speed[:1].upper() + speed[1:]), None
    atlas = experiments.atlas(effects, speed)
    st.html(
        markup.heading("Map of all combinations", 2, "section")
        + markup.paragraph(
            f"The {len(atlas.levels):,} networks that these changes can make, each at its best "
            "learning rate if the model can estimate one. Click a point to see its changes.",
            "faint",
        )
    )
    place, other = _selected(atlas)
    said = " ".join(filter(None, (problem, other)))
    if said:
        st.html(markup.notice(said))
    segments("effects", "cost", "Cost", {key: title for key, (title, _) in COSTS.items()}, cost)
    if speed is not None:
        st.html(markup.paragraph(text.timing(speed, effects.epochs), "faint"))
    table = _table(atlas)
    path = _path(effects, atlas, table)
    front = table.iloc[atlas.front(table[cost].to_numpy())]
    figure.clickable(
        charts.combination_map(table, path, front, cost, COSTS[cost][1], place),
        front,
        "combinations",
        _alt(front, cost, len(table)),
        lambda chosen: st.query_params.update({SELECTED: chosen}),
    )
    _details(effects, atlas, place)


def _selected(atlas: Atlas) -> tuple[int, str]:
    """Return the index of the combination to show: by default the best one."""
    best = atlas.best()
    given = st.query_params.get(SELECTED)
    if given is None:
        return best, ""
    if given.isascii() and given.isdigit() and len(given) < 8 and int(given) < len(atlas.levels):
        return int(given), ""
    return best, (
        f"In the URL, at must be a whole number from 0 to {len(atlas.levels) - 1:,}. "
        "Showing the best network."
    )


def _table(atlas: Atlas) -> DataFrame:
    import pandas as pd

    return pd.DataFrame(
        {
            "top1": atlas.top1,
            "low": atlas.low,
            "high": atlas.high,
            "gflops": atlas.gmacs,
            "parameters": atlas.parameters / 1e6,
            **({} if atlas.minutes is None else {"minutes": atlas.minutes}),
        }
    )


def _path(effects: Effects, atlas: Atlas, table: DataFrame) -> DataFrame:
    """Return the rows of the roadmap's own networks."""
    places = {tuple(sorted(levels.items())): i for i, levels in enumerate(atlas.levels)}
    changes = effects.changes
    path = effects.path([change.name for change in changes])
    titles = ["Start", *(change.title for change in changes)]
    found = [
        (places.get(tuple(sorted(levels.items()))), t)
        for levels, t in zip(path, titles, strict=True)
    ]
    known = [(place, title) for place, title in found if place is not None]
    return table.iloc[[place for place, _ in known]].assign(title=[t for _, t in known])


def _details(effects: Effects, atlas: Atlas, place: int) -> None:
    levels = atlas.levels[place]
    config = effects.space.network(levels)
    names = changed_titles(effects.space, levels, [c.name for c in effects.changes])
    rate = "" if atlas.lr is None else f" at learning rate {atlas.lr[place]:.2g}"
    builder = _builder_link(effects.space.roadmap, config)
    st.html(
        markup.heading(", ".join(names) or "The start", 3, "subsection")
        + markup.paragraph(
            f"Predicted top-1 {number(atlas.top1[place], 1)}% (95% interval for one run "
            f"{number(atlas.low[place], 1)} to {number(atlas.high[place], 1)}){rate}, "
            f"{number(atlas.gmacs[place], 2)} GFLOPs, "
            f"{number(atlas.parameters[place] / 1e6, 1)} million parameters{_time(atlas, place)}.",
            "text",
        )
        + f'<p class="text"><a href="{builder}" target="_self">Open in the Builder</a></p>'
    )


def _time(atlas: Atlas, place: int) -> str:
    return "" if atlas.minutes is None else f", {number(atlas.minutes[place], 1)} minutes"


def _builder_link(roadmap: str, config: ModelConfig) -> str:
    start = builder_address.StartingPoint(roadmap, ROADMAPS[roadmap].keys[0])
    chosen = builder_address.Chosen(start, config.replace(stochastic_depth=0.0))
    return "builder?" + urlencode({"a": builder_address.format_chosen(chosen)})


def _alt(front: DataFrame, cost: str, count: int) -> str:
    points = "; ".join(
        f"{number(row['top1'], 1)}% at {number(row[cost], 1)}" for row in front.to_dict("records")
    )
    return (
        f"Scatter chart of predicted top-1 against {COSTS[cost][0]} for {count:,} networks. "
        f"The best at each cost: {points}."
    )
