"""Buttons that act on fields that were changed just before."""

from __future__ import annotations

from streamlit.testing.v1 import AppTest


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
