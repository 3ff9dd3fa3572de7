"""Buttons that act on fields that were changed just before."""

from __future__ import annotations

import pytest
import streamlit
from streamlit.testing.v1 import AppTest

from roadmap.views.common import press


def page():
    import streamlit as st

    from roadmap.views.common import press

    epochs = st.number_input("Epochs", value=15)
    press.button("Start", st.session_state.__setitem__, "started", epochs)


def test_a_click_acts_on_a_number_that_was_typed_just_before():
    app = AppTest.from_function(page).run()
    assert "started" not in app.session_state
    app.number_input[0].set_value(200)
    app.button[0].click()
    app.run()  # both arrive together, as when one clicks right after typing
    assert app.session_state["started"] == 200
    app.run()
    assert not app.button[0].value
    assert not app.exception


@pytest.mark.parametrize("disabled", [True, False])
def test_a_button_that_the_run_disables_does_not_act(disabled, monkeypatch):
    """The button is enabled when it is pressed; current Streamlit forgets such a click itself."""
    monkeypatch.setattr(streamlit, "button", lambda *_, **__: True)
    monkeypatch.setattr(streamlit, "rerun", lambda: None)
    done = []
    press.button("Start", done.append, 1, disabled=disabled)
    assert done == [] if disabled else done == [1]
