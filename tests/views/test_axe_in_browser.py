"""axe-core finds nothing serious on any page: wide in both themes, and narrow.

Colors are the same in either width, so the narrow window is only checked in one theme.
"""

from __future__ import annotations

from pathlib import Path

import axe_playwright_python
import pytest
from playwright.sync_api import Page, expect

AXE = (Path(axe_playwright_python.__file__).parent / "axe.min.js").read_text()
SERIOUS = ("serious", "critical")
#: Without what is at most moderate and takes a third of the time, and without fetching styles again
#: for rules that are not in force.
ALL = {"preload": False, "rules": {"region": {"enabled": False}}}
#: All that a theme changes.
COLORS = {"preload": False, "runOnly": ["color-contrast", "link-in-text-block"]}
PATHS = (
    "",
    "?view=path",
    "?view=both",
    "?present=1",
    "inside?step=gelu",
    "inside?step=depthwise_conv&tab=operation",
    "inside?step=gelu&tab=network",
    "inside?step=gelu&tab=cost",
    "inside?step=gelu&tab=code",
    "inside?step=gelu&tab=config",
    "picture",
    "picture?at=b.stages.1.blocks.0.branch.conv1",
    "picture?at=b.stages.1.blocks.0.branch.conv1/5/3,3",
    "builder",
    "sizes",
    "recipes",
    "effects?data=digits",
    "ablations",
    "training",
    "method",
    "glossary?term=gelu",
)
NARROW = {"width": 390, "height": 844}


@pytest.mark.parametrize("path", PATHS)
def test_nothing_serious(open_path, path):
    page = open_path(path)
    settled(page)
    if path.startswith("picture"):
        expect(page.locator(".picture")).to_be_visible(timeout=60_000)
    unfold(page)
    found = at_rest(page, ALL)
    page.emulate_media(color_scheme="dark")
    page.wait_for_function(
        "getComputedStyle(document.querySelector('.stApp')).colorScheme == 'dark'"
    )
    found += at_rest(page, COLORS)
    page.set_viewport_size(NARROW)
    found += at_rest(page, ALL)
    assert found == []


def test_what_is_hard_to_read_is_found(open_path):
    page = open_path("training")
    settled(page)
    page.locator(".title").evaluate("(title) => { title.style.color = '#dddddd' }")
    for rules in (ALL, COLORS):
        assert any("color-contrast" in line for line in violations(page, rules))


def settled(page: Page) -> None:
    idle = page.locator("[data-test-script-state=notRunning]")
    expect(idle).to_be_attached(timeout=60_000)
    expect(page.locator("[data-testid=stSkeleton]")).to_have_count(0, timeout=60_000)
    expect(page.locator("h1").first).to_be_visible(timeout=60_000)


def unfold(page: Page) -> None:
    folded = page.locator("details:not([open]) > summary")
    for _ in range(folded.count()):
        folded.first.click()
        page.wait_for_timeout(100)
        settled(page)
    expect(folded).to_have_count(0)


def at_rest(page: Page, rules: dict) -> list[str]:
    """``violations`` that are still there later: after a change of size some are for a moment."""
    found = violations(page, rules)
    if found:
        page.wait_for_timeout(1000)
        found = violations(page, rules)
    return found


def violations(page: Page, rules: dict = ALL) -> list[str]:
    """Return a line per element with a serious problem."""
    if not page.evaluate("'axe' in window"):
        page.evaluate(AXE)
    found = page.evaluate("rules => axe.run({resultTypes: ['violations'], ...rules})", rules)
    return [
        f"{violation['id']}: {node['html'][:120]} {node['failureSummary'][:160]}"
        for violation in found["violations"]
        if violation["impact"] in SERIOUS
        for node in violation["nodes"]
    ]
