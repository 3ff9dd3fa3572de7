"""A config's predicted accuracy, if a designed experiment covers it."""

from __future__ import annotations

import streamlit as st

from models.config import ModelConfig
from models.text import ended
from roadmap.study import text
from roadmap.study.effects import Effects
from roadmap.study.model import Prediction
from roadmap.study.space import StudyError
from roadmap.text import data_title, number
from roadmap.views.common import experiments, markup

MOST_EXCUSES = 2


def show(config: ModelConfig) -> None:
    """Show one line per data set with a fitted experiment."""
    said, excuses = [], []
    for data in experiments.data_sets():
        try:
            experiment = experiments.experiment(data)
        except StudyError:
            continue
        effects = experiments.effects(experiment.model, (), None, None)
        try:
            said.append(_sentence(effects, config, experiment.model.data))
        except StudyError as error:
            excuses.append(f"Not covered by the experiment on {data_title(data)}: {ended(error)}")
    if not said and not excuses:
        excuses = ["No prediction: the folder of runs has no experiment to predict from."]
    st.html(
        markup.heading("Predicted accuracy", 3, "subsection")
        + "".join(markup.paragraph(line, "text") for line in said)
        + "".join(markup.paragraph(line, "faint") for line in excuses[:MOST_EXCUSES])
        + '<p class="faint">Predictions for one run, with 95% intervals: '
        '<a href="effects" target="_self">see the experiment</a>.</p>'
    )


def rows(*configs: ModelConfig) -> list[tuple[str, ...]]:
    """Return a row per data set that can predict one of ``configs``: a title, then top-1 of each
    with its interval."""
    found = []
    for data in experiments.data_sets():
        try:
            model = experiments.experiment(data).model
        except StudyError:
            continue
        effects = experiments.effects(model, (), None, None)
        said = [_top1(effects, config) for config in configs]
        if any(said):
            title = f"Predicted top-1 on {data_title(model.data)}, %"
            found.append((title, *(words or "not covered" for words in said)))
    return found


def _top1(effects: Effects, config: ModelConfig) -> str:
    try:
        prediction, _ = _predicted(effects, config)
    except StudyError:
        return ""
    return f"{number(prediction.top1, 1)} ({_interval(prediction)})"


def _sentence(effects: Effects, config: ModelConfig, data: str) -> str:
    prediction, trained = _predicted(effects, config)
    top1, interval = number(prediction.top1, 1), _interval(prediction)
    return f"{data_title(data)}: {top1}% top-1, {interval} ({trained})."


def _predicted(effects: Effects, config: ModelConfig) -> tuple[Prediction, str]:
    """Return the prediction and how the network is trained.

    Raises ``StudyError`` if the experiment does not cover ``config``.
    """
    space = effects.space
    found = space.levels_of(config)
    shown = space.network_factors
    levels = effects.start | {name: key for name, key in found.items() if name in shown}
    rate = effects.best_rate(levels)
    trained = text.conditions_of_one(effects, levels, rate, leave_out=shown)
    return effects.predicted(levels, rate), trained


def _interval(prediction: Prediction) -> str:
    return f"{number(prediction.low, 1)} to {number(prediction.high, 1)}"
