"""The page of sizes as a person uses it, in headless Chromium."""

from __future__ import annotations

import re

import pytest
from browser_pages import expect_to_fit, idle
from playwright.sync_api import Page, expect
from resting import click_chart, resting

WIDE, NARROW = {"width": 1440, "height": 900}, {"width": 390, "height": 844}
#: Where on the page the mark of a key is.
PLACE = """key => {
  const plot = document.querySelector('.js-plotly-plot');
  for (const [place, trace] of plot.calcdata.entries())
      for (const [index, point] of trace.entries())
          if (trace[0].trace.customdata?.[index] === key) {
              const axes = plot._fullLayout;
              const box = plot.querySelector('.nsewdrag').getBoundingClientRect();
              return [box.x + axes.xaxis.c2p(point.x), box.y + axes.yaxis.c2p(point.y)];
          }
}"""
BOXES = "texts => texts.map(text => text.getBoundingClientRect().toJSON())"


def settle(page: Page) -> None:
    """Waits until Streamlit has run, and one chart stands."""
    idle(page)
    expect(page.locator(".js-plotly-plot")).to_have_count(1)
    expect(page.locator(".scatterlayer .point").first).to_be_attached()


def click_mark(page: Page, key: str) -> None:
    settle(page)
    x, y = resting(page, lambda: page.evaluate(PLACE, key))
    click_chart(page, x, y)


def test_clicking_marks_and_sharing_what_one_sees(open_path):
    page = open_path("sizes")
    click_mark(page, "convnext-xl-384-22k")
    expect(page.locator(".step")).to_have_text("ConvNeXt-XL")
    expect(page).to_have_url(re.compile("model=convnext-xl-384-22k"))
    click_mark(page, "resnet-50-timm-a3")
    expect(page.locator(".step")).to_have_text("ResNet-50")
    page.get_by_role("radio", name="384 px").click()
    expect(page).to_have_url(re.compile("image=384"))
    page.get_by_role("combobox", name="Accuracy on").click()
    page.get_by_role("option", name="ImageNet-R", exact=True).click()
    expect(page.locator(".js-plotly-plot:visible .ytitle")).to_contain_text("ImageNet-R")
    page.reload()
    settle(page)
    expect(page.locator(".js-plotly-plot:visible .ytitle")).to_contain_text("ImageNet-R")
    expect(page.locator(".step")).to_have_text("ResNet-50")


@pytest.mark.parametrize(("viewport", "scheme"), [(WIDE, "dark"), (NARROW, "light")])
def test_it_fits_and_labels_do_not_collide(open_path, viewport, scheme):
    page = open_path("sizes", viewport, scheme)
    settle(page)
    expect_to_fit(page)
    names = page.locator(".js-plotly-plot .annotation-text")
    boxes = resting(page, lambda: names.evaluate_all(BOXES))
    assert len(boxes) >= 4
    for place, one in enumerate(boxes):
        assert one["x"] >= 0
        assert one["right"] <= viewport["width"]
        for other in boxes[:place]:
            across = min(one["right"], other["right"]) - max(one["x"], other["x"])
            along = min(one["bottom"], other["bottom"]) - max(one["y"], other["y"])
            assert across <= 1 or along <= 3
