"""The page of methods as a person reads it, in headless Chromium."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

WIDE, NARROW = {"width": 1440, "height": 900}, {"width": 390, "height": 844}


@pytest.mark.parametrize(("viewport", "scheme"), [(WIDE, "light"), (NARROW, "dark")])
def test_it_reads_as_a_column(open_path, viewport, scheme):
    page = open_path("method", viewport, scheme)
    sections = page.locator("summary")
    expect(sections.filter(has_text="Sources")).to_be_visible()
    expect(page).to_have_title("Method – From ResNet to ConvNeXt")
    for title in ("Definitions", "Audit of the paper's GFLOPs", "Open questions"):
        expect(sections.filter(has_text=title)).to_be_visible()
    for title in ("Audit", "Initialization", "Sources"):
        sections.filter(has_text=title).click()
    expect(page.locator("tr.off")).to_have_count(3)
    main = page.locator("[data-testid=stMain]")
    assert main.evaluate("main => main.scrollWidth") <= viewport["width"]
    wide = page.locator(".text:visible").first.bounding_box()["width"]
    assert wide <= 46 * 16
