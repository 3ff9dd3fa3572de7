"""Charts of the Roadmap page; clicking a row selects its step."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

import streamlit as st

from roadmap import charts
from roadmap.analysis.audit import SWIN
from roadmap.steps import ROADMAPS
from roadmap.tables.results import TimedOn
from roadmap.text import number
from roadmap.views.common import address, figure, markup, tables

if TYPE_CHECKING:
    from pandas import DataFrame

VIEWS = {"bars": "Steps", "path": "Path", "both": "Both sizes"}
METRIC_NAMES = {
    "top1": "Top-1",
    "gflops": "GFLOPs",
    "params": "Parameters",
    "images_per_s": "Images/s",
    "memory": "Memory",
}
MEASURED = ("images_per_s", "memory")


@dataclass(frozen=True)
class Chart:
    """What a chart shows: a metric of a roadmap, how it was measured, the selected ``step``."""

    roadmap: str
    step: str
    metric: charts.Metric
    setting: TimedOn | None

    @property
    def table(self) -> DataFrame:
        if self.setting is None:
            return tables.steps(self.roadmap)
        return tables.with_speeds(self.roadmap, self.setting)

    def reference(self, metric: charts.Metric) -> tuple[str, float] | None:
        return tables.swin(self.roadmap, metric.key, self.setting)


def bars(shown: Chart) -> None:
    """Show one roadmap as in the paper's Figure 2."""
    table, metric = shown.table, shown.metric
    if _missing(shown, table):
        return
    reference = shown.reference(metric)
    drawn = charts.roadmap_bars(table, metric, shown.step, reference)
    kind = "Bar chart" if metric.from_zero else "Dot chart"
    alt = f"{kind} of {metric.axis}, {_listed(shown, table)}"
    name = f"{shown.roadmap}-{metric.key}"
    figure.clickable(drawn, table, name, alt, partial(address.store, shown.roadmap))
    st.html(_legend(table, metric, reference))


def path(shown: Chart) -> None:
    """Show top-1 against the metric, and the titles of the numbered steps."""
    table, metric = shown.table, shown.metric
    if _missing(shown, table):
        return
    drawn = charts.roadmap_path(table, metric, shown.step, _swin_point(shown))
    figure.clickable(
        drawn,
        table,
        f"{shown.roadmap}-path-{metric.key}",
        f"ImageNet-1K top-1 against {metric.axis}, {_listed(shown, table, with_top1=True)}",
        partial(address.store, shown.roadmap),
    )
    numbered = table[table["top1"].notna()]  # only the last steps have none, so places stay
    place = list(table["key"]).index(shown.step)
    st.html(markup.numbered(numbered["title"], selected=place))
    notes = (
        "Hollow points with dotted lines were tried but not adopted. Click a point to "
        "select its step."
    )
    if place >= len(numbered):
        notes = (
            f"{table['title'].iloc[place]} is not shown, because no accuracy was published. {notes}"
        )
    st.html(markup.paragraph(notes, "faint"))


def both(shown: Chart) -> None:
    """Show both sizes side by side, with the same step selected."""
    for column, sized in zip(st.columns(2, gap="large"), both_sizes(shown), strict=True):
        with column:
            st.html(markup.heading(ROADMAPS[sized.roadmap].title, 2, "subsection"))
            bars(sized)


def both_sizes(shown: Chart) -> list[Chart]:
    """Return the same view of both sizes; speeds only if both were measured in this setting."""
    return [
        replace(shown, roadmap=roadmap, setting=setting)
        for roadmap in SWIN
        for setting in [shown.setting if shown.setting in tables.settings(roadmap) else None]
    ]


def _swin_point(shown: Chart) -> tuple[str, float, float] | None:
    cost = shown.reference(shown.metric)
    accuracy = shown.reference(charts.METRICS["top1"])
    return (cost[0], cost[1], accuracy[1]) if cost and accuracy else None


def _missing(shown: Chart, table: DataFrame) -> bool:
    """Return whether there is nothing to draw; if so, show how to measure it."""
    metric = shown.metric
    if metric.key in table and table[metric.key].notna().any():
        return False
    what = {"images_per_s": "speed", "memory": "memory"}.get(metric.key, metric.name)
    st.html(
        markup.notice(
            f"No {what} has been measured for {ROADMAPS[shown.roadmap].title} yet. Measure a step "
            f"with: python -m roadmap benchmark --roadmap {shown.roadmap} "
            f"--step {shown.step} --save"
        )
    )
    return True


def _listed(shown: Chart, table: DataFrame, *, with_top1: bool = False) -> str:
    """Return every value of the chart, as a text alternative."""
    metric = shown.metric
    values = [number(value, metric.decimals) for value in table[metric.key]]
    if with_top1:
        values = [
            f"{number(top1, 2)}% at {value}"
            for top1, value in zip(table["top1"], values, strict=True)
        ]
    if f"{metric.key}_torch" in table:
        values = [
            value
            if other != other
            else f"{value} ({number(other, metric.decimals)} with PyTorch's)"
            for value, other in zip(values, table[f"{metric.key}_torch"], strict=True)
        ]
    pairs = zip(table["title"], values, strict=True)
    listed = ", ".join(f"{title} {value}" for title, value in pairs)
    measured = f", {shown.setting.label}" if metric.key in MEASURED and shown.setting else ""
    return f"{ROADMAPS[shown.roadmap].title}{measured}: {listed}."


def _legend(table: DataFrame, metric: charts.Metric, reference: tuple[str, float] | None) -> str:
    """Explain hatching, whiskers, ticks and the dashed line, if the chart has them."""
    signs = []
    if not metric.from_zero:
        signs.append(("change", "change from the step before"))
    if not table["adopted"].all():
        signs.append(("hatch" if metric.from_zero else "hollow", "tried, not adopted"))
    if f"{metric.key}_low" in table:
        runs = metric.key == "top1"
        text = "standard deviation of 3 runs" if runs else "10th to 90th percentile"
        signs.append(("whisker", text))
    if f"{metric.key}_torch" in table:
        signs.append(("tick", "with PyTorch's depthwise convolution"))
    if reference:
        signs.append(("dash", reference[0]))
    spans = "".join(f'<span><i class="{sign}"></i>{text}</span>' for sign, text in signs)
    return f'<p class="faint legend">{spans}<span>Click a row to select its step.</span></p>'
