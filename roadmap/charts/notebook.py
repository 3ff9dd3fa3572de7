"""Charts in notebooks: on white and with one width, readable on light and dark pages."""

from __future__ import annotations

from typing import Any

import plotly.io as pio
from plotly.io.base_renderers import PlotlyRenderer

from roadmap.palette import LIGHT_BACKGROUND, LIGHT_TEXT

NAME = "roadmap_on_white"
WIDTH = 760  # pixels available for a notebook's output on a repository page
#: The columns of names and numbers are laid out for a narrow font.
FONT = "Source Sans Pro, Arial Narrow, Liberation Sans Narrow, Arial, sans-serif"


def show_on_white() -> None:
    """Show all following charts with dark text on white, 760 pixels wide.

    The notebook stores only a chart's data, without a copy of Plotly (4 MB), so that its file stays
    small. Where charts cannot be shown from data, as in Colab, nothing is changed.
    """
    first = pio.renderers.default.partition("+")[0]
    if first and isinstance(pio.renderers[first], PlotlyRenderer):
        pio.renderers[NAME] = _OnWhite()
        pio.renderers.default = NAME


class _OnWhite(PlotlyRenderer):
    def to_mimebundle(self, fig_dict: dict[str, Any]) -> dict[str, Any]:
        layout = fig_dict["layout"]
        layout = {
            "width": WIDTH,
            **layout,
            "template": {},
            "paper_bgcolor": LIGHT_BACKGROUND,
            "font": {"family": FONT, "color": LIGHT_TEXT, **layout.get("font", {})},
        }
        return super().to_mimebundle({**fig_dict, "layout": layout})
