"""The inside of a step as a person explores it, in headless Chromium."""

from __future__ import annotations

import re
import runpy

from browser_pages import expect_to_fit, idle, themed
from playwright.sync_api import Page, expect

from models.source import network_source
from roadmap.measure.complexity import count
from roadmap.steps import ROADMAPS
from roadmap.views.inside.page import TABS

WIDE, NARROW = {"width": 1440, "height": 900}, {"width": 390, "height": 844}


def settle(page: Page) -> None:
    """Waits until Streamlit has run and the page stands."""
    expect(page.locator(".eyebrow")).to_be_visible()
    idle(page)


def test_from_tab_to_tab_to_the_next_step_and_back(open_path):
    page = open_path("inside?step=kernel_5")
    settle(page)
    expect(page.locator("svg[role=img]").last).to_have_attribute("aria-label", re.compile("5"))
    page.get_by_role("radio", name="Cost").click()
    expect(page).to_have_url(re.compile("tab=cost"))
    expect(page.locator(".treemaplayer .slice").first).to_be_attached()
    page.get_by_role("button", name="Next").click()
    expect(page).to_have_url(re.compile("step=kernel_7"))
    expect(page.locator(".step")).to_have_text(re.compile("7"))
    page.go_back()
    expect(page).to_have_url(re.compile("step=kernel_5"))
    expect(page.get_by_role("radio", name="Cost")).to_be_checked()
    page.go_back()
    expect(page.get_by_role("radio", name="Block")).to_be_checked()


def test_the_downloaded_file_runs(open_path, tmp_path, capsys):
    """That it needs nothing of ours is for tests/models/test_source.py."""
    page = open_path("inside?roadmap=resnet50&step=kernel_7&tab=code")
    settle(page)
    with page.expect_download() as started:
        page.get_by_role("button", name="lines of Python").click()
    assert started.value.suggested_filename == "resnet50_kernel_7.py"
    path = tmp_path / "downloaded.py"
    started.value.save_as(path)
    config = ROADMAPS["resnet50"].config("kernel_7")
    assert path.read_text() == network_source(config)
    runpy.run_path(str(path), run_name="__main__")
    assert capsys.readouterr().out == f"output (1, 1000), {count(config).parameters:,} parameters\n"


def test_measuring_the_receptive_field_shows_two_maps(open_path):
    # The step changes no network, so that one is measured.
    page = open_path("inside?roadmap=torchvision_recipe&step=ema&tab=field")
    settle(page)
    page.get_by_role("button", name="Measure the effective receptive field").click()
    expect(page.get_by_role("button", name="Cancel")).to_be_visible()
    expect(page.locator(".heatmaplayer image")).to_have_count(2, timeout=240_000)
    page.reload()
    expect(page.locator(".heatmaplayer image")).to_have_count(2)


def test_every_tab_fits(open_path):
    page = open_path("inside?step=separate_downsampling")
    for key, title in TABS.items():
        settle(page)
        page.get_by_role("radio", name=title).click()
        expect(page.get_by_role("radio", name=title)).to_be_checked()
        expect(page).to_have_url(re.compile(f"tab={key}" if key != "block" else "inside"))
        settle(page)
        for viewport, scheme in ((WIDE, "dark"), (NARROW, "light")):
            page.set_viewport_size(viewport)
            themed(page, scheme)
            expect_to_fit(page)
        page.set_viewport_size(WIDE)  # where the next tab is drawn
