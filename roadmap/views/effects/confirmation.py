"""Runs that confirm the model: predicted and measured top-1, one row per combination."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

from roadmap.html_table import Cell, html_table, numbers, row_head, wide
from roadmap.study import text
from roadmap.study.confirmation import Confirmation
from roadmap.study.rows import confirmation_rows
from roadmap.text import ABSENT, number
from roadmap.views.common import figure, markup

HEAD = ("Epochs", "Learning rate", "Predicted", "95% interval", "Measured", "Inside")


def show(found: Sequence[Confirmation]) -> None:
    import pandas as pd

    st.html(
        markup.paragraph(text.confirmation(found), "text")
        + wide(
            html_table(["Step", *numbers(HEAD)], map(_row, found), "below"),
            "Predicted and measured top-1",
        )
        + markup.paragraph(
            "Top-1 in percent; one measured value per seed. The model does not predict beyond "
            "the training lengths it was fitted to.",
            "faint",
        )
    )
    figure.csv_button(pd.DataFrame(confirmation_rows(found)), "confirmation")


def _row(one: Confirmation) -> list[Cell]:
    expected = one.prediction
    cells = (
        f"{one.epochs}",
        f"{one.lr:.2g}",
        number(expected.top1, 1) if expected else ABSENT,
        f"{number(expected.low, 1)} to {number(expected.high, 1)}" if expected else ABSENT,
        ", ".join(number(score, 1) for score in one.scores),
        f"{one.inside} of {len(one.scores)}" if expected else ABSENT,
    )
    return [row_head(one.step), *numbers(cells)]
