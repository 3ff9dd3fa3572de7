"""Charts in a notebook: their data alone, on white."""

from __future__ import annotations

import plotly.io as pio
import pytest

from roadmap.charts import roadmap_bars
from roadmap.charts.notebook import WIDTH, show_on_white
from roadmap.palette import LIGHT_BACKGROUND, LIGHT_TEXT
from roadmap.tables.results import roadmap_table


@pytest.fixture
def renderers():
    before = pio.renderers.default
    yield pio.renderers
    pio.renderers.default = before


@pytest.mark.parametrize("default", ["plotly_mimetype+notebook", "plotly_mimetype", "vscode"])
def test_a_chart_is_shown_from_its_data_on_white(renderers, default):
    renderers.default = default
    show_on_white()
    figure = roadmap_bars(roadmap_table("resnet50"))
    before = figure.to_dict()
    shown = figure._repr_mimebundle_()
    assert list(shown) == ["application/vnd.plotly.v1+json"]
    layout = shown["application/vnd.plotly.v1+json"]["layout"]
    assert layout["paper_bgcolor"] == LIGHT_BACKGROUND
    assert layout["font"]["color"] == LIGHT_TEXT
    assert (layout["width"], layout["height"]) == (WIDTH, figure.layout.height)
    assert figure.to_dict() == before


def test_a_width_of_its_own_stays(renderers):
    renderers.default = "plotly_mimetype"
    show_on_white()
    figure = roadmap_bars(roadmap_table("resnet50")).update_layout(width=500)
    (shown,) = figure._repr_mimebundle_().values()
    assert shown["layout"]["width"] == 500


@pytest.mark.parametrize("default", ["colab", "browser", None])
def test_where_charts_are_shown_otherwise_nothing_changes(renderers, default):
    renderers.default = default
    show_on_white()
    assert renderers.default == (default or "")
