"""Lecture mode in headless Chromium, by keyboard."""

from __future__ import annotations

import re

from playwright.sync_api import expect

from roadmap.steps import ROADMAPS


def test_it_is_stepped_by_keys_and_left_at_its_step(open_path):
    page = open_path("?present=1&roadmap=resnet50&step=increase_width")
    title = page.locator(".lecture-slide .lecture-title")
    expect(title).to_have_text("Increase width", timeout=30_000)
    page.keyboard.press("PageDown")
    expect(title).to_have_text("Inverted bottleneck")
    expect(page).to_have_url(re.compile("step=inverted_bottleneck"))
    page.keyboard.press("ArrowLeft")
    expect(title).to_have_text("Increase width")
    page.get_by_role("button", name="Predict first").click()
    page.keyboard.press("ArrowRight")
    figures = page.locator(".lecture-slide .lecture-figure")
    expect(title).to_have_text("Inverted bottleneck")
    expect(figures).to_have_count(0)
    page.keyboard.press("ArrowRight")  # shows the result, and stays
    expect(figures.first).to_be_visible()
    expect(title).to_have_text("Inverted bottleneck")
    page.keyboard.press("p")
    expect(page.locator(".step")).to_have_text("Inverted bottleneck", timeout=30_000)
    expect(page.locator(".lecture")).to_have_count(0)


def test_it_prints_one_page_per_step(open_path):
    page = open_path("?present=1&roadmap=resnet50")
    expect(page.locator(".lecture-slide .lecture-title")).to_be_visible(timeout=30_000)
    printed = page.pdf(prefer_css_page_size=True)
    pages = re.findall(rb"/Type */Page[^s]", printed)
    assert len(pages) == len(ROADMAPS["resnet50"].keys)
