"""The Finder's chart of the committed measurements, in headless Chromium."""

from __future__ import annotations

import pytest
from browser_pages import settled, themed
from contrast import faint_at_rest
from playwright.sync_api import expect
from resting import resting

#: Each name in the chart with the number of marks and other names that it covers.
COVERED = """(chart) => {
  const boxes = (selector) => [...chart.querySelectorAll(selector)].map((element) =>
    [element.textContent, element.getBoundingClientRect()]);
  const meet = (one, two) => one.left < two.right && two.left < one.right
    && one.top < two.bottom && two.top < one.bottom;
  const names = boxes('.annotation-text'), marks = boxes('path.point');
  return names.map(([text, box]) => [text, [...names, ...marks].filter(([other, taken]) =>
    other !== text && meet(box, taken)).length]);
}"""


@pytest.mark.parametrize("width", [390, 1440])
def test_each_name_in_the_chart_is_clearly_one_networks(open_path, width):
    asked = "finder?device=NVIDIA+H200&batch=1&best=memory"  # where the front is crowded
    page = open_path(asked, {"width": width, "height": 900})
    settled(page)
    expect(page.locator(".annotation-text").nth(3)).to_be_visible()
    chart = page.locator(".js-plotly-plot")
    covered = dict(resting(page, lambda: chart.evaluate(COVERED)))
    assert not any(covered.values())
    assert faint_at_rest(page) == []
    themed(page, "dark")
    assert faint_at_rest(page) == []
