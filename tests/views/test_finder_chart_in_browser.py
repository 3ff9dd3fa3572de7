"""The Finder's chart of the committed measurements, in headless Chromium."""

from __future__ import annotations

from browser_pages import expect_to_fit, settled, themed
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


def test_each_name_in_the_chart_is_clearly_one_networks(open_path):
    asked = "finder?device=NVIDIA+H200&batch=1&best=memory"  # where the front is crowded
    page = open_path(asked)
    settled(page)
    for width in (1440, 390):
        page.set_viewport_size({"width": width, "height": 900})
        themed(page, "light")
        expect_to_fit(page)  # the chart has followed
        expect(page.locator(".annotation-text").nth(3)).to_be_visible()
        chart = page.locator(".js-plotly-plot")
        covered = dict(resting(page, lambda chart=chart: chart.evaluate(COVERED)))
        assert not any(covered.values()), width
        assert faint_at_rest(page) == [], width
        themed(page, "dark")
        assert faint_at_rest(page) == [], width
