"""The explorer, whose background processes are forked."""

import runpy
import sys
from pathlib import Path

import streamlit as st
from starlette.middleware import Middleware

ROOT = Path(__file__).parents[2]
sys.path[:0] = [str(ROOT), str(Path(__file__).parent)]

from forked_jobs import fork_jobs  # noqa: E402 - after the path

from roadmap.views.not_found import NotFound  # noqa: E402
from roadmap.views.page_base import PageBase  # noqa: E402

if __name__ == "forked_app":  # as app.py: Streamlit's server imports it for ``app``
    app = st.App(__file__, middleware=[Middleware(NotFound), Middleware(PageBase)])
else:
    fork_jobs("roadmap.measure.effective_field", "roadmap.export.onnx", "onnxscript")
    runpy.run_path(str(ROOT / "app.py"), run_name="__main__")
