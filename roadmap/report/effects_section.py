"""The section of the report's page about a designed experiment on the same data."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from roadmap.charts import effects as charts
from roadmap.runs import PointRun
from roadmap.study import text
from roadmap.study.effects import Effects
from roadmap.study.experiment import choose_design, designs, of_data, open_experiment
from roadmap.study.rows import view_rows, view_table
from roadmap.study.space import StudyError
from roadmap.text import data_title

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

VIEW = "all orders"


def effects_section(points: Sequence[PointRun], data: str) -> tuple[list[str], Figure, str] | None:
    """Return sentences, the chart of the mean over all orders and its alt text, or None."""
    runs = of_data(points, data)
    try:
        known = designs()
        experiment = open_experiment(choose_design(known, runs), runs, known)
        effects = Effects(experiment.model)
        rows = view_rows(effects, VIEW)
    except StudyError:
        return None
    said = [
        "From a designed experiment that varies all choices at once: the effect of each change in "
        f"points of top-1, averaged over all orders, with {text.conditions(effects)}.",
        text.summary(effects.worth(VIEW), data_title(data)),
        *text.basis(experiment, effects),
    ]
    alt = "; ".join(f"{row['title']} {text.with_interval_of(row)}" for row in rows)
    return (
        said,
        charts.effect_intervals(view_table(rows)),
        f"Effect of each change in points of top-1: {alt}.",
    )
