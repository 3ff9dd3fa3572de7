"""Where something is on a page once it has stopped moving."""

from playwright.sync_api import Locator


def resting_box(locator: Locator) -> dict[str, float]:
    """The bounding box, the same twice in a row: charts are drawn again while a page settles."""
    before = None
    for _ in range(50):
        box = locator.bounding_box()
        if box is not None and box == before:
            return box
        before = box
        locator.page.wait_for_timeout(100)
    raise AssertionError(f"{locator} does not come to rest")
