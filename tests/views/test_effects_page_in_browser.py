"""The page of effects as a person uses it, in headless Chromium."""

from __future__ import annotations

import re

import numpy as np
import pytest
from browser import ROOT, served
from browser_pages import expect_to_fit, idle, themed
from playwright.sync_api import Page, expect
from studies import made_runs, save_runs

from roadmap.runs.folders import RUNS_VARIABLE
from roadmap.study.design import DESIGNS, read_design
from roadmap.study.model import all_terms

WIDE, NARROW = {"width": 1440, "height": 900}, {"width": 390, "height": 844}


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    """The app with made runs."""
    root = tmp_path_factory.mktemp("runs")
    design = read_design(DESIGNS / "digits.json")
    coefficients = np.random.default_rng(4).normal(0, 0.6, 300)
    coefficients[0] = 10
    coefficients = coefficients[: len(all_terms(design).names)]
    save_runs(root, design, made_runs(design, coefficients, 0.5, data="made"))
    with served(ROOT / "app.py", {RUNS_VARIABLE: str(root)}) as url:
        yield url


def settle(page: Page, charts: int = 2) -> None:
    idle(page)
    expect(page.locator(".js-plotly-plot:visible")).to_have_count(charts)


def test_views_order_and_sharing_by_keyboard(open_path):
    page = open_path("effects")
    settle(page)
    page.get_by_role("radio", name="All orders").click()
    expect(page).to_have_url(re.compile("view=orders"))
    first = page.locator(".st-key-order-0 .order")
    page.locator("summary", has_text="Your own order").click()
    idle(page)  # or what is pressed would be replaced
    before = first.text_content()
    page.locator(".st-key-order-down-0 button").press("Enter")
    expect(page).to_have_url(re.compile("order="))
    expect(first).not_to_have_text(before)
    moved = first.text_content()
    page.reload()
    settle(page, charts=3)  # a shared order is open
    expect(first).to_have_text(moved)
    expect(page.get_by_role("radio", name="All orders")).to_be_checked()


def test_the_map_leads_to_the_builder(open_path):
    page = open_path("effects?at=3")
    settle(page)
    page.get_by_role("link", name="Open in the Builder").click()
    expect(page).to_have_url(re.compile("builder"))
    expect(page.get_by_role("heading", name="Builder", level=1)).to_be_visible()


def test_it_fits(open_path):
    page = open_path("effects", WIDE)
    settle(page)
    for viewport, scheme in ((WIDE, "dark"), (NARROW, "light")):
        page.set_viewport_size(viewport)
        themed(page, scheme)
        settle(page)
        expect_to_fit(page)
        tables = page.locator("table.heat").all()
        assert tables
        for table in tables:
            box = table.bounding_box()
            assert box["x"] >= 0
            assert box["x"] + box["width"] <= viewport["width"]
