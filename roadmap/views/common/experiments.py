"""The experiment behind the Effects page, refitted only when its runs have changed."""

from __future__ import annotations

from collections import Counter
from functools import lru_cache

import streamlit as st

from roadmap.runs import PointRun
from roadmap.study.atlas import Atlas
from roadmap.study.atlas import atlas as make_atlas
from roadmap.study.design import Design
from roadmap.study.effects import Effects, EffectSettings
from roadmap.study.experiment import (
    Experiment,
    choose_design,
    designs,
    of_data,
    open_experiment,
)
from roadmap.study.model import Model
from roadmap.study.space import StudyError
from roadmap.study.speed import Speed, fit_speed
from roadmap.views.common import all_runs

#: Commands that train the study's design and show what it found.
COMMANDS = """python -m roadmap sweep --design results/designs/small_data.json --data PATH --dry-run
python -m roadmap sweep --design results/designs/small_data.json --data PATH --compile
python -m roadmap effects --data NAME"""
#: Slider positions whose results are cached, a few kB each.
MOST_KEPT = 64


def data_sets() -> tuple[str, ...]:
    """Return the names of data sets with design runs, the one with the most runs first."""
    counts = Counter(run.data for run in all_runs.read().points)
    return tuple(name for name, _ in counts.most_common())


def experiment(data: str) -> Experiment:
    """Return the experiment on ``data``. Raises ``StudyError``."""
    runs = of_data(all_runs.read().points, data)
    known = _designs()
    return _experiment(choose_design(known, runs), runs, known)


@st.cache_resource(show_spinner=False, max_entries=1, ttl=60)
def _designs() -> tuple[Design, ...]:
    return tuple(designs())


@lru_cache(maxsize=4)
def _experiment(
    design: Design, runs: tuple[PointRun, ...], known: tuple[Design, ...]
) -> Experiment:
    return open_experiment(design, runs, known)


Levels = tuple[tuple[str, str], ...]


@lru_cache(maxsize=MOST_KEPT)
def effects(model: Model, levels: Levels, lr: float | None, epochs: float | None) -> Effects:
    """Return the effects that ``model`` predicts under these settings. Raises ``StudyError``."""
    return Effects(model, EffectSettings(dict(levels), lr, epochs))


@lru_cache(maxsize=4)
def atlas(found: Effects, speed: Speed | None) -> Atlas:
    """Return every combination under these settings, at its best learning rate if known."""
    return make_atlas(found, speed=speed)


@lru_cache(maxsize=4)
def speed(found: Experiment) -> Speed | str:
    """Return the training speed of ``found``, or a sentence on why it cannot be estimated."""
    try:
        return fit_speed(found.design, found.runs)
    except StudyError as error:
        return str(error)
