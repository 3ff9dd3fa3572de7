"""The page of ablations as a person uses it, in headless Chromium."""

from __future__ import annotations

import csv
import re

import pytest
from browser import ROOT, served
from browser_pages import expect_to_fit, idle, themed
from ended_tasks import ended_tasks
from fake_runs import FIRST_STEPS, write_ablation
from playwright.sync_api import Page, expect

from roadmap.runs.folders import RUNS_VARIABLE

WIDE, NARROW = {"width": 1440, "height": 900}, {"width": 390, "height": 844}


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    root = tmp_path_factory.mktemp("runs")
    write_ablation(root, FIRST_STEPS)
    (root / "tiny" / "broken").mkdir()
    with ended_tasks(root):
        yield root


@pytest.fixture(scope="module")
def address(root):
    """The app with runs of its own."""
    with served(ROOT / "app.py", {RUNS_VARIABLE: str(root)}) as url:
        yield url


def settle(page: Page, charts: int = 2) -> None:
    idle(page)
    expect(page.locator(".js-plotly-plot")).to_have_count(charts)


def curves(page: Page, part: str):
    """Parts of the chart that is shown: the one before it may still be in the page, hidden."""
    return page.locator(".st-key-figure-curves .js-plotly-plot:visible").locator(part)


def axis(page: Page):
    return curves(page, ".ytitle")


def test_reading_curves_and_taking_the_table_along(open_path):
    page = open_path("ablations")
    settle(page)
    expect(page.locator(".finding")).to_contain_text("1 is a gain")
    page.locator("summary", has_text="Figures of every step").click()
    expect(page.locator(".verdicts tbody tr")).to_have_count(3)
    page.get_by_role("radio", name="Learning rate").click()
    expect(axis(page)).to_have_text("Learning rate")
    page.get_by_role("radio", name="By seed").click()
    expect(
        page.locator(".st-key-figure-curves .js-plotly-plot:visible .scatterlayer .trace")
    ).to_have_count(9)
    expect(page).to_have_url(re.compile("curve=lr.*lines=seeds"))
    page.reload()
    settle(page)
    expect(axis(page)).to_have_text("Learning rate")
    page.locator("summary", has_text="runs").click()
    settle(page)  # a table that is drawn again has another file
    with page.expect_download() as started:
        page.locator(".st-key-downloads-runs button").click()
    with started.value.path().open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 9
    assert {row["status"] for row in rows} == {"finished"}


def test_it_fits(open_path):
    page = open_path("ablations?data=tiny", WIDE, "dark")
    settle(page)
    expect_to_fit(page)
    page.set_viewport_size(NARROW)
    themed(page, "light")
    settle(page)
    expect_to_fit(page)
