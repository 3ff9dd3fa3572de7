"""Plotly figures for the app and notebooks, one function each, from a DataFrame."""

from roadmap.charts.bars import METRICS, Metric, roadmap_bars
from roadmap.charts.costs import cost_map
from roadmap.charts.path import roadmap_path

__all__ = ["METRICS", "Metric", "cost_map", "roadmap_bars", "roadmap_path"]
