"""The report's page in headless Chromium, opened from its file as people do."""

from __future__ import annotations

import random

import pytest
from fake_runs import write_ablation
from playwright.sync_api import expect

from roadmap.analysis.ablation import analyse
from roadmap.report.page import page
from roadmap.runs import read_runs
from roadmap.tables.results import step_rows

WIDE, NARROW = {"width": 1440, "height": 900}, {"width": 390, "height": 844}
#: Whether nothing is wider than the window.
FITS = "document.documentElement.scrollWidth <= innerWidth"
#: Background and text.
COLORS = {
    "light": ["rgb(255, 255, 255)", "rgb(31, 35, 40)"],
    "dark": ["rgb(21, 23, 27)", "rgb(232, 230, 225)"],
}


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    """A page with every step that the paper trained, on data with a long name."""
    folder, draw = tmp_path_factory.mktemp("report"), random.Random(0)
    scores = {
        row["key"]: [row["top1"] - 10 + draw.gauss(0, 0.2) for _ in range(3)]
        for row in step_rows("resnet50")
        if row["top1"] is not None
    }
    name = "a-data-set-with-a-name-as-long-as-they-come-and-not-one-space"
    write_ablation(folder / "runs", scores, data=name, epochs=20)
    found = read_runs(folder / "runs")
    path = folder / "report.html"
    path.write_text(page(analyse(found.runs, name, "resnet50"), found), encoding="utf-8")
    return path


def test_it_opens_by_itself_and_fits(browser, report):
    context = browser.new_context(viewport=WIDE, offline=True)
    opened, said, asked = context.new_page(), [], []
    opened.on("console", lambda message: said.append(message.text))
    opened.on("pageerror", lambda error: said.append(str(error)))
    opened.on("request", lambda request: asked.append(request.url))
    opened.goto(report.as_uri())
    opened.wait_for_function("document.querySelectorAll('.js-plotly-plot .main-svg').length >= 22")
    for width in (WIDE["width"], NARROW["width"]):
        opened.set_viewport_size({"width": width, "height": 900})
        opened.wait_for_function(FITS)  # the charts follow
        for box in opened.locator(".js-plotly-plot").all():
            assert box.bounding_box()["width"] <= width
        for scheme, (ground, text) in COLORS.items():
            opened.emulate_media(color_scheme=scheme)
            expect(opened.locator("body")).to_have_css("background-color", ground)
            expect(opened.locator(".xtick text, .y2tick text").first).to_have_css("fill", text)
    assert said == []
    assert asked == [report.as_uri()]
    context.close()
