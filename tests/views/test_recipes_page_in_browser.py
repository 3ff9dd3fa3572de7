"""The page of recipes as a person uses it, in headless Chromium."""

from __future__ import annotations

import io
import re

from browser_pages import expect_to_fit, idle
from PIL import Image
from playwright.sync_api import Page, expect

NARROW = {"width": 390, "height": 844}
LOADED = "[...document.querySelectorAll('.pair img')].every((image) => image.complete)"


def pictures(page: Page) -> list[str]:
    return page.locator(".pair img").evaluate_all("images => images.map(image => image.src)")


def test_from_part_to_part_and_drawing_again(open_path):
    page = open_path("recipes")
    expect(page.locator(".fields")).to_be_visible()
    page.get_by_role("radio", name="Learning rate").click()
    expect(page.locator(".js-plotly-plot:visible .ytitle")).to_have_text("Learning rate / maximum")
    page.get_by_role("radio", name="Absolute").click()
    expect(page.locator(".js-plotly-plot:visible .ytitle")).to_contain_text("log scale")
    page.get_by_role("radio", name="Augmentation").click()
    expect(page.locator(".pair img").first).to_be_visible()
    page.get_by_role("radio", name="CutMix").click()
    expect(page.locator(".pair figcaption").first).to_contain_text("CutMix")
    idle(page)
    before = pictures(page)
    page.get_by_role("button", name="Draw again").click()
    expect(page.locator(".pair img").nth(1)).not_to_have_attribute("src", before[1])
    assert pictures(page)[0] == before[0]  # what it starts from stays
    page.wait_for_function(LOADED)
    sizes = page.locator(".pair img").evaluate_all("images => images.map(i => i.naturalWidth)")
    assert set(sizes) == {224}
    page.get_by_role("radio", name="Gain of each change").click()
    expect(page.locator(".js-plotly-plot .bars .point")).to_have_count(13)
    expect(page).to_have_url(re.compile("part=gains"))


def test_ones_own_pictures_and_a_bad_file(open_path):
    page = open_path("recipes?part=pictures&method=erasing", NARROW)
    expect(page.locator(".pair")).to_have_count(6)
    file = io.BytesIO()
    Image.new("RGB", (300, 200), (180, 40, 40)).save(file, "PNG")
    page.locator("input[type=file]").set_input_files(
        [
            {"name": "mine.png", "mimeType": "image/png", "buffer": file.getvalue()},
            {"name": "bad.jpg", "mimeType": "image/jpeg", "buffer": b"<script>alert(1)</script>"},
        ]
    )
    expect(page.locator(".pair")).to_have_count(2)
    expect(page.get_by_role("img", name="mine.png, before")).to_be_visible()
    expect(page.locator(".notice")).to_contain_text("bad.jpg is not a readable image")
    expect_to_fit(page)
