"""The page of methods as a person reads it, in headless Chromium."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

WIDE, NARROW = {"width": 1440, "height": 900}, {"width": 390, "height": 844}


@pytest.mark.parametrize(("viewport", "scheme"), [(WIDE, "light"), (NARROW, "dark")])
def test_it_reads_as_a_column(open_path, viewport, scheme):
    page = open_path("method", viewport, scheme)
    expect(page.get_by_role("heading", name="Sources")).to_be_attached(timeout=30_000)
    expect(page).to_have_title("Method – From ResNet to ConvNeXt")
    for title in ("Definitions", "Audit of the paper's GFLOPs", "Open questions"):
        expect(page.get_by_role("heading", name=title)).to_be_attached()
    expect(page.locator("tr.off")).to_have_count(3)
    main = page.locator("[data-testid=stMain]")
    assert main.evaluate("main => main.scrollWidth") <= viewport["width"]
    wide = page.locator(".text").first.bounding_box()["width"]
    assert wide <= 46 * 16
