"""The value of each change, predicted from a designed experiment under chosen settings."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import streamlit as st

from models.text import ended
from roadmap.charts import effects as charts
from roadmap.study import text
from roadmap.study.rows import lengths, view_rows, view_table
from roadmap.study.space import StudyError
from roadmap.text import data_title, number, scientific
from roadmap.views.common import address, experiments, figure, markup, turns
from roadmap.views.common.bounds import within
from roadmap.views.common.controls import segments, select
from roadmap.views.effects import confirmation as effects_confirmation
from roadmap.views.effects import interactions as effects_interactions
from roadmap.views.effects import map as effects_map
from roadmap.views.effects import order as effects_order

if TYPE_CHECKING:
    from roadmap.study.effects import Effects
    from roadmap.study.experiment import Experiment
    from roadmap.study.space import Factor, Space

VIEWS = {
    "place": (
        "in place",
        "In the paper's place",
        "Each change is made at its place in the paper's order.",
    ),
    "alone": (
        "alone",
        "Alone",
        "Each change is made alone, on the starting network (ResNet with the modern recipe).",
    ),
    "orders": (
        "all orders",
        "All orders",
        "Mean over all orders in which every intermediate network is valid (Shapley value).",
    ),
    "rate": (
        "own rate",
        "At its own rate",
        "As in the paper's place, but with each network at its own best learning rate.",
    ),
}
NOTHING = (
    "No designed experiment has enough finished runs yet. A design varies many choices at once, "
    "so that every run informs every change. Train one on the command line:"
)
RATES = 9


def show() -> None:
    st.html(
        markup.opening(
            "Effects",
            "What is each change worth: alone, in the paper's place, in any order, at its own "
            "learning rate, after short or long training? These are predictions from a designed "
            "experiment that varies all choices at once.",
        )
    )
    names = experiments.data_sets()
    if not names:
        st.html(markup.nothing(NOTHING, experiments.COMMANDS))
        return
    name, problem = address.option(st.query_params, "data", names)
    if problem:
        st.html(markup.notice(problem))
    if len(names) > 1:
        select("effects", "data", "Data", {one: data_title(one) for one in names}, name, width=300)
    try:
        experiment = experiments.experiment(name)
    except StudyError as error:
        said = f"{NOTHING} On {data_title(name)}: {ended(error)}"
        st.html(markup.nothing(said, experiments.COMMANDS))
        return
    _explorer(experiment)


@turns.fragment
def _explorer(experiment: Experiment) -> None:
    model, space = experiment.model, experiment.design.space
    problems = st.empty()
    levels, lr, epochs, wrong = _settings(space)
    effects = experiments.effects(model, levels, lr, epochs)
    views = [name for name, (view, _, _) in VIEWS.items() if view in effects.views]
    chosen, unknown = address.option(st.query_params, "view", views)
    said = " ".join(filter(None, (*wrong, unknown)))
    if said:
        problems.html(markup.notice(said))
    _controls(space, dict(levels), lr, epochs, chosen, views)
    _worth(experiment, effects, chosen)
    effects_interactions.show(effects)
    with st.expander("Your own order", expanded=effects_order.PARAMETER in st.query_params):
        effects_order.show(effects)
    effects_map.show(experiment, effects)
    if experiment.confirmations:
        with st.expander("Predicted and measured"):
            effects_confirmation.show(experiment.confirmations)
    with st.expander("The experiment behind this"):
        _basis(experiment, effects)


# The settings, in the URL


def _settings(
    space: Space,
) -> tuple[experiments.Levels, float | None, float | None, list[str]]:
    """Return setting levels, learning rate, epochs, and a sentence per invalid value."""
    wrong, levels = [], []
    quantities: dict[str, float | None] = {"lr": None, "epochs": None}
    for factor in _shown(space):
        options = _options(factor)
        usual = _usual(factor, options)
        ordered = [usual, *(key for key in options if key != usual)]
        value, problem = address.option(st.query_params, factor.name, ordered)
        wrong.append(problem)
        if factor.name in quantities and factor.scale is not None:
            quantities[factor.name] = options[value]
        else:
            levels.append((factor.name, value))
    return tuple(levels), quantities["lr"], quantities["epochs"], [w for w in wrong if w]


def _shown(space: Space) -> list[Factor]:
    return [factor for factor in space.factors if factor.kind != "change"]


def _options(factor: Factor) -> dict[str, Any]:
    """Return a control's options: keys as in the URL, with their values or titles."""
    if factor.scale is None:
        return {level.key: level.title for level in factor.levels}
    low, high = min(factor.values), max(factor.values)
    steps = np.geomspace(low, high, RATES).tolist()
    if factor.name == "epochs":
        return {f"{round(value)}": float(round(value)) for value in steps}
    # Rounded to two significant digits, within the range that was trained.
    return {f"{value:.2g}": within(float(f"{value:.2g}"), low, high) for value in steps}


def _usual(factor: Factor, options: dict[str, Any]) -> str:
    keys = list(options)
    if factor.scale is None:
        return keys[0]
    return keys[-1] if factor.name == "epochs" else keys[len(keys) // 2]


def _controls(
    space: Space,
    levels: dict[str, str],
    lr: float | None,
    epochs: float | None,
    view: str,
    views: Sequence[str],
) -> None:
    with st.container(horizontal=True, gap="medium", key="effects-views"):
        segments(
            "effects", "view", "Value of a change", {name: VIEWS[name][1] for name in views}, view
        )
    with st.container(horizontal=True, gap="medium", key="effects-controls"):
        for factor in _shown(space):
            options = _options(factor)
            if factor.scale is None:
                titles = {key: _short(key) for key in options}
                segments("effects", factor.name, _heading(factor), titles, levels[factor.name])
            else:
                value = lr if factor.name == "lr" else epochs
                _slider(factor, options, value)


def _heading(factor: Factor) -> str:
    return {"layer_scale": "Layer scale", "init": "Initialization"}.get(
        factor.name, factor.name.replace("_", " ").capitalize()
    )


def _short(key: str) -> str:
    names = {"default": "PyTorch's", "trunc_normal": "Truncated normal"}
    try:
        return scientific(float(key))
    except ValueError:
        return names.get(key, key.capitalize())


def _slider(factor: Factor, options: dict[str, float], value: float | None) -> None:
    key = f"effects-{factor.name}"
    st.session_state[key] = next(name for name, one in options.items() if one == value)
    st.select_slider(
        factor.title,
        list(options),
        key=key,
        on_change=_changed,
        args=(factor.name,),
        width=240,
    )


def _changed(name: str) -> None:
    st.query_params[name] = st.session_state[f"effects-{name}"]


# Predictions of the model


def _worth(experiment: Experiment, effects: Effects, chosen: str) -> None:
    view, _, meaning = VIEWS[chosen]
    conditions = text.conditions(effects, leave_out={"lr"} if chosen == "rate" else ())
    st.html(
        markup.paragraph(
            text.summary(effects.worth(view), data_title(experiment.model.data)), "finding"
        )
        + markup.paragraph(f"{meaning} Compared with {conditions}.", "faint")
    )
    rows = view_rows(effects, view)
    table = view_table(rows)
    figure.show(
        charts.effect_intervals(table), table.drop(columns="why"), "effects", _alt(rows, view)
    )
    st.html(
        markup.paragraph(
            "Bars are 95% intervals. Filled marks are significant gains or losses (corrected for "
            "the number of changes, Holm); open marks are inconclusive.",
            "faint",
        )
    )
    if "epochs" in effects.quantities:
        _budgets(effects)


def _alt(rows: Sequence[dict[str, Any]], view: str) -> str:
    points = "; ".join(
        f"{row['title']} {text.with_interval_of(row)}"
        if row["points"] is not None
        else f"{row['title']}: not possible alone"
        for row in rows
    )
    return f"Effect of each change in points of top-1, {view}: {points}."


def _budgets(effects: Effects) -> None:
    """Show the training length from which each change pays off."""
    trained = lengths(effects)
    found = effects.budgets(trained)
    always = [b.change.title for b in found if b.pays_from == trained[0]]
    later = [
        f"{b.change.title} from {b.pays_from:g} epochs"
        for b in found
        if b.pays_from not in (None, trained[0])
    ]
    costs = [b.change.title for b in found if b.costs]
    unclear = [b.change.title for b in found if b.pays_from is None and not b.costs]
    every = f"at every length from {trained[0]:g} to {trained[-1]:g} epochs"
    parts = (
        (f"Pays off {every}", always),
        ("Pays off only with longer training", later),
        (f"Costs accuracy {every}", costs),
        ("Inconclusive at the lengths trained", unclear),
    )
    st.html(
        markup.heading("When each change pays off", 2, "section")
        + "".join(
            markup.paragraph(f"{what}: {', '.join(names) or 'none'}.", "text")
            for what, names in parts
        )
        + markup.paragraph(
            "For each change in the paper's place. It pays off if its 95% interval is above zero.",
            "faint",
        )
    )


def _basis(experiment: Experiment, effects: Effects) -> None:
    st.html(
        "".join(markup.paragraph(said, "text") for said in text.basis(experiment, effects))
        + markup.paragraph(
            f"{len(experiment.runs)} of the design's {len(experiment.design.points)} runs have "
            "finished. All figures on this page are predictions for one run on this data set, not "
            "measurements, and only within the range that was trained. The start costs "
            f"{number(_start_gmacs(experiment), 1)} GFLOPs.",
            "faint",
        )
    )


def _start_gmacs(experiment: Experiment) -> float:
    from roadmap.study.space import network_cost

    space = experiment.design.space
    return network_cost(space.network(space.origin)).gmacs
