"""Charts in a notebook: on white and of one width, so that they read on light and on dark pages."""

from __future__ import annotations

from typing import Any

import plotly.io as pio
from plotly.io.base_renderers import PlotlyRenderer

from roadmap.palette import LIGHT_BACKGROUND, LIGHT_TEXT

NAME = "roadmap_on_white"
WIDTH = 760  # pixels; what notebooks leave for an output on a repository page
#: The columns of names and numbers are laid out for a narrow face.
FONT = "Source Sans Pro, Arial Narrow, Liberation Sans Narrow, Arial, sans-serif"


def show_on_white() -> None:
    """Show every chart from here on in dark text on white, 760 pixels wide.

    The notebook keeps a chart's data alone, without a copy of Plotly (4 MB), so that its file
    stays small. Where charts are not shown from data, as in Colab, everything stays as it is.
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
