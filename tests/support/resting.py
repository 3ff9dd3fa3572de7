"""Where something is on a page once it has stopped moving, and clicks on charts."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from playwright.sync_api import Locator, Page

T = TypeVar("T")
IDLE = "() => new Promise((done) => requestIdleCallback(done, { timeout: 1000 }))"
#: Forgets what the charts have found under the mouse; whether one has found something.
FORGET = """() => document.querySelectorAll('.js-plotly-plot').forEach((chart) => {
  delete chart._hoverdata; })"""
FOUND = """() => [...document.querySelectorAll('.js-plotly-plot')]
  .some((chart) => chart._hoverdata?.length)"""


def resting(page: Page, measure: Callable[[], T]) -> T:
    """What ``measure`` returns, the same twice in a row: charts are drawn again while a page
    settles."""
    before = None
    for _ in range(300):
        page.evaluate(IDLE)
        found = measure()
        if found is not None and found == before:
            return found
        before = found
        page.wait_for_timeout(100)
    raise AssertionError(f"the page does not come to rest: {before}")


def resting_box(locator: Locator) -> dict[str, float]:
    """The bounding box of what has stopped moving."""
    return resting(locator.page, locator.bounding_box)


def click_chart(page: Page, x: float, y: float) -> None:
    """Click as a hand does: there first, then down once Plotly has found what is there."""
    page.evaluate(FORGET)
    page.mouse.move(x + 1, y)  # or there is no move, if the mouse is there
    page.mouse.move(x, y)
    page.wait_for_function(FOUND)
    page.mouse.click(x, y)
