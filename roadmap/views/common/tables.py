"""The cached tables behind the pages."""

from __future__ import annotations

from typing import TYPE_CHECKING

import streamlit as st

from roadmap.analysis.audit import SWIN
from roadmap.steps import ROADMAPS
from roadmap.tables import results
from roadmap.tables.results import TimedOn, timed_network

if TYPE_CHECKING:
    from pandas import DataFrame


@st.cache_data(show_spinner=False)
def steps(roadmap: str) -> DataFrame:
    """Return ``results.roadmap_table`` with top-1 ± one standard deviation for whiskers."""
    table = results.roadmap_table(roadmap)
    if "top1_std" in table and table["top1_std"].notna().any():
        table["top1_low"] = table["top1"] - table["top1_std"]
        table["top1_high"] = table["top1"] + table["top1_std"]
    return table


@st.cache_data(show_spinner=False)
def settings(roadmap: str) -> list[TimedOn]:
    """Return every setting in which steps of ``roadmap`` were timed; empty if there are none."""
    try:
        table = results.throughput_table()
    except results.ResultsError:
        return []
    rows = _steps_of(roadmap, table)[list(results.TIMED_BY)].drop_duplicates()
    found = [TimedOn(**row) for row in rows.to_dict("records")]
    return sorted(found, key=lambda s: (s.mode, s.device == "cpu", s.label))


@st.cache_data(show_spinner=False)
def with_speeds(roadmap: str, setting: TimedOn) -> DataFrame:
    """Return ``steps`` with ``images_per_s``, its 10th and 90th percentile, and ``memory`` (GB).

    Where our depthwise kernels were timed, the figures are theirs, ``depthwise`` is ``own`` and
    ``images_per_s_torch`` is the speed with PyTorch's kernels, if it was timed too.
    """
    timed = _steps_of(roadmap, _timed(setting))
    speeds = results.ours_first(timed).set_index("name")[[*SPEEDS, "depthwise"]]
    ours = speeds.index[speeds["depthwise"] == "own"]
    both = timed[(timed["depthwise"] != "own") & timed["name"].isin(ours)]
    if len(both):
        both = both.drop_duplicates("name", keep="last").set_index("name")
        speeds["images_per_s_torch"] = both["images_per_s"]
    return steps(roadmap).join(speeds)


def _steps_of(roadmap: str, table: DataFrame) -> DataFrame:
    """Return a roadmap's rows; on a recipe roadmap, all steps share one timed network."""
    if ROADMAPS[roadmap].changes_networks:
        return table[table["source"] == roadmap]
    source, name = timed_network(roadmap)
    start = table[(table["source"] == source) & (table["name"] == name)]
    names = steps(roadmap)[["key"]].rename(columns={"key": "name"})
    return start.drop(columns="name").merge(names, how="cross")


SPEEDS = ["images_per_s", "images_per_s_low", "images_per_s_high", "memory"]


def _timed(setting: TimedOn) -> DataFrame:
    table = results.throughput_table()
    for column in results.TIMED_BY:
        table = table[table[column] == getattr(setting, column)]
    return table.rename(
        columns={
            "images_per_s_p10": "images_per_s_low",
            "images_per_s_p90": "images_per_s_high",
            "peak_memory_gb": "memory",
        }
    )


@st.cache_data(show_spinner=False)
def swin(roadmap: str, metric: str, setting: TimedOn | None = None) -> tuple[str, float] | None:
    """Return name and figure of the transformer to compare with, or None."""
    if roadmap not in SWIN:
        return None
    name, timm_name = SWIN[roadmap].label, SWIN[roadmap].timm_name
    if metric == "top1":
        return name, float(results.paper_figures(roadmap)["swin"]["top1"])
    if metric in ("gflops", "params"):
        rows = results.read_rows("measured/complexity")
        row = next(r for r in rows if (r["source"], r["name"]) == ("timm", timm_name))
        return name, int(row["macs"]) / 1e9 if metric == "gflops" else int(row["params"]) / 1e6
    if setting is None:
        return None
    timed = _timed(setting)
    found = timed[timed["name"] == timm_name][metric].dropna()
    return (name, float(found.iloc[-1])) if len(found) else None
