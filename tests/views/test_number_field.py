"""Number fields say which numbers are possible, on every page that has one."""

from __future__ import annotations

import ast

import pages
import pytest
from browser import ROOT
from pages import address, checked, html
from streamlit.testing.v1 import AppTest

VIEWS = ROOT / "roadmap" / "views"


def refusals(app: AppTest) -> list[str]:
    return [part.split("</p>")[0] for part in html(app).split('class="refusal" role="alert">')[1:]]


def typed(app: AppTest, key: str, value: float) -> AppTest:
    app.number_input(key=key).set_value(value)
    return checked(app.run())


@pytest.mark.parametrize(
    ("page", "parameters", "key", "value", "sentence"),
    [
        (
            *("finder", {}, "finder-top1", 120.0),
            "The minimum top-1 is 120%; use 50 to 100. Using 82%.",
        ),
        (
            *("inside", {"tab": "cost"}, "inside-image", 9000),
            "The image size is 9,000 pixels; use 32 to 1,024. Using 224 pixels.",
        ),
        (
            *("builder", {}, "image", 0),
            "The image size is 0 pixels; use 1 to 1,024. Using 224 pixels.",
        ),
        (
            *("recipes", {"part": "pictures"}, "recipes-seed", -1),
            "Seed is −1; use 0 to 9,999. Using 0.",
        ),
        ("builder", {}, "measure-batch", 257, "Batch size is 257; use 1 to 256."),
        ("builder", {}, "seed", -1, "Seed is −1; use 0 to 2,147,483,647."),
    ],
)
def test_a_number_outside_its_limits_is_one_sentence_until_it_is_replaced(
    page, parameters, key, value, sentence
):
    app = pages.opened(page, **parameters)
    before = app.number_input(key=key).value
    assert type(before) is type(value)
    assert refusals(app) == []
    assert refusals(typed(app, key, value)) == [sentence]
    assert app.number_input(key=key).value == value
    assert refusals(checked(app.run())) == [sentence]
    assert refusals(typed(app, key, before)) == []


def test_a_refused_number_gives_way_to_a_new_one_in_the_url():
    app = typed(pages.opened("inside", tab="cost"), "inside-image", 9000)
    assert "image" not in address(app)
    app.query_params["image"] = "64"
    assert refusals(checked(app.run())) == []
    assert app.number_input(key="inside-image").value == 64
    typed(app, "inside-image", 96)
    assert address(app)["image"] == "96"


@pytest.mark.parametrize(
    ("key", "buttons"),
    [("measure-batch", ["measure"]), ("seed", ["make-all", "make-onnx", "make-safetensors"])],
)
def test_nothing_starts_with_a_number_outside_its_limits(key, buttons, monkeypatch):
    started = []
    for module in ("measure", "downloads"):
        monkeypatch.setattr(
            f"roadmap.views.builder.{module}.Job", lambda *words, **_: started.append(words)
        )
    for button in buttons:
        app = pages.opened("builder")
        app.number_input(key=key).set_value(-5)
        app.button(key=button).click()  # without leaving the field before
        checked(app.run())
        assert app.button(key=button).disabled
    assert started == []


def test_every_number_field_says_so():
    """They are made by ``number_field``, or their limits are those of ``ModelConfig``."""
    users = {
        str(path.relative_to(VIEWS))
        for path in VIEWS.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Attribute) and node.attr == "number_input"
    }
    assert users == {"common/number_field.py", "builder/fields.py"}
