"""The explorer's entry point: pages, theme and one-time server setup. ``make app`` serves it.

Streamlit's server imports this file for ``app``, and runs it as a script for each visitor.
"""

from importlib import import_module
from pathlib import Path

import streamlit as st
from starlette.middleware import Middleware

from roadmap.background import scratch
from roadmap.views import common
from roadmap.views.common import uploads
from roadmap.views.common.turns import turn
from roadmap.views.glossary import marks
from roadmap.views.not_found import NotFound
from roadmap.views.page_base import PageBase

STYLE = Path(common.__file__).parent

#: Streamlit's menu, with its choice of theme, is shown because it has an entry of ours.
ABOUT = "An executable version of the roadmap from ResNet to ConvNeXt (Liu et al., 2022)."


def later(name: str, title: str, *, default: bool = False) -> st.Page:
    """The page of ``roadmap/views/<name>/page.py``, imported when it is opened.

    Pages have cached functions, and Streamlit warns of those defined before its server runs.
    """

    def show() -> None:
        import_module(f"roadmap.views.{name}.page").show()

    return st.Page(show, title=title, url_path=name, default=default)


def explorer() -> None:
    """Show the page that the visitor opened."""
    uploads.bound()
    scratch.sweep()
    page = st.navigation(
        [
            later("roadmap", "Roadmap", default=True),
            later("inside", "Inside a step"),
            later("picture", "Picture"),
            later("builder", "Builder"),
            later("sizes", "Sizes"),
            later("finder", "Finder"),
            later("recipes", "Recipes"),
            later("effects", "Effects"),
            later("ablations", "Ablations"),
            later("training", "Training"),
            later("method", "Method"),
            later("glossary", "Glossary"),
        ],
        position="top",
    )
    st.set_page_config(
        page_title=f"{page.title} – From ResNet to ConvNeXt",
        page_icon=str(STYLE / "icon.svg"),
        layout="wide",
        menu_items={"About": ABOUT},
    )
    st.html(STYLE / "style.css")
    with turn():
        page.run()
    for script in ("script.html", "chart_keys.html"):
        st.html(STYLE / script, unsafe_allow_javascript=True)
    marks.show()


if __name__ == "app":
    app = st.App(__file__, middleware=[Middleware(NotFound), Middleware(PageBase)])
else:
    explorer()
