"""Results as a file: download a device's, add those of another machine."""

from __future__ import annotations

import streamlit as st

from roadmap import visitors
from roadmap.errors import RefusedError
from roadmap.find import shared, store
from roadmap.find.candidates import OWN
from roadmap.find.question import Question
from roadmap.text import counted, slug
from roadmap.views.common import markup

SAID = "finder-added"
TEXT = (
    '<p class="faint">A network that you change in the '
    '<a href="builder" target="_self">Builder</a> is measured too. '
    "Its accuracy is not known, so it is a vertical line in the chart.</p>"
    '<p class="faint below">Results are stored per device, and appear on the page '
    '<a href="sizes" target="_self">Sizes</a>. Add a results file of another machine to choose its '
    "devices above.</p>"
)


def show(question: Question) -> None:
    """Offer the device's rows as a CSV and, to the owner, take rows of others."""
    rows = [
        row
        for row in store.rows()
        if row["device_name"] == question.device_name and row["source"] != OWN
    ]
    with st.expander("Your own network, shared results"):
        st.html(TEXT)
        if rows:
            st.download_button(
                f"Save {counted(len(rows), 'measurement')} of {question.device_name}",
                store.shared_text(rows),
                f"finder-{slug(question.device_name)}.csv",
                "text/csv",
                key="finder-share",
                on_click="ignore",
            )
        if not visitors.is_public():
            _upload()


def _upload() -> None:
    count = st.session_state.get("finder-uploads", 0)
    st.file_uploader(
        "Add a results file, CSV",
        type="csv",
        max_upload_size=2,  # MB, a little more than shared.MOST_BYTES
        key=f"finder-file-{count}",
        on_change=_add,
        args=(f"finder-file-{count}",),
        width=420,
    )
    if text := st.session_state.pop(SAID, ""):
        st.html(markup.notice(text))


def _add(key: str) -> None:
    """Merge the uploaded file, once; a new key empties the control."""
    file = st.session_state.get(key)
    if file is None:
        return
    st.session_state["finder-uploads"] = st.session_state.get("finder-uploads", 0) + 1
    try:
        visitors.require_owner("Adding results")
        count = store.merge(shared.read(file.getvalue(), file.name))
        st.session_state[SAID] = f"{counted(count, 'measurement')} added."
    except RefusedError as error:
        st.session_state[SAID] = str(error)
    except OSError as error:
        st.session_state[SAID] = f"The results cannot be stored: {error.strerror}."
