"""The explorer's entry point: pages and theme only. ``make app`` serves it."""

from pathlib import Path

import streamlit as st

from roadmap.views import roadmap_page

STYLE = Path(__file__).parent / "roadmap" / "views" / "style.css"

st.set_page_config(page_title="From ResNet to ConvNeXt", layout="wide")
st.html(STYLE)
page = st.navigation(
    [st.Page(roadmap_page.show, title="Roadmap", url_path="roadmap", default=True)],
    position="top",
)
page.run()
