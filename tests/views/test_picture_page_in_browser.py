"""The page Picture in headless Chromium, with the mouse and the keyboard."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Page, expect

PHONE = {"width": 390, "height": 844}


@pytest.fixture
def open_page(open_path):
    def open_page(query: str = "", **options) -> Page:
        page = open_path(f"picture{query}", **options)
        expect(page.locator(".picture")).to_be_attached()
        return page

    return open_page


def test_from_two_networks_down_to_one_value_and_back(open_page):
    page = open_page()
    expect(page.locator(".column:not(.end)")).to_have_count(10)
    page.locator(".network").nth(1).get_by_role("button", name="Stage 2").click()
    expect(page.locator("li[aria-current=page]")).to_have_text("Separate downsampling: Stage 2")
    page.get_by_role("button", name=re.compile("Block 1")).click()
    page.get_by_role("button", name=re.compile("7×7 depthwise")).click()
    page.get_by_role("button", name="Channel 5", exact=True).click()
    grid = page.locator(".map.grid")
    grid.click(position={"x": 5, "y": 5})
    expect(page).to_have_url(re.compile("at=b.stages.1.blocks.0.branch.conv1%2F5%2F0%2C0"))
    first = page.locator(".result").inner_text()
    grid.focus()
    for key in ("ArrowDown", "ArrowDown", "ArrowRight", "Enter"):
        page.keyboard.press(key)
    expect(page.locator("li[aria-current=page]")).to_have_text("Row 2, column 1")
    assert page.locator(".result").inner_text() != first
    page.go_back()
    expect(page.locator("li[aria-current=page]")).to_have_text("Row 0, column 0")
    page.get_by_role("button", name="Both networks").click()
    expect(page.locator(".network")).to_have_count(2)
    expect(page).not_to_have_url(re.compile("at="))


def test_hovering_a_map_lights_up_its_field(open_page):
    page = open_page()
    field = page.locator(".field")
    expect(field).not_to_be_visible()
    group = page.locator(".maps").first
    group.locator(".map").first.hover(position={"x": 1, "y": 1})
    expect(field).to_be_visible()
    start, stride, size, side, image = map(int, group.get_attribute("data-field").split())
    style = field.evaluate("node => [node.style.left, node.style.width].map(parseFloat)")
    assert style == pytest.approx([100 * start / image, 100 * size / image], rel=1e-3)
    assert side * stride == image
    page.locator("h1").hover()
    expect(field).not_to_be_visible()


def test_another_picture_and_few_words(open_page):
    page = open_page()
    page.get_by_role("button", name="A cup of coffee").click()
    expect(page.locator(".frame img")).to_have_attribute("alt", "A cup of coffee")
    expect(page).to_have_url(re.compile("picture=coffee"))
    words = page.locator("[data-testid=stMain]").inner_text().split()
    words += page.locator(".picture").inner_text().split()
    assert len(words) < 400


@pytest.mark.parametrize(
    "at", ["", "?at=b.stem.conv", "?at=b.stages.1.blocks.0.branch.conv1/5/3,3"]
)
def test_nothing_is_wider_than_a_phone(open_page, at):
    page = open_page(at, viewport=PHONE)
    assert page.locator(".picture").evaluate("node => node.scrollWidth <= innerWidth")
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
