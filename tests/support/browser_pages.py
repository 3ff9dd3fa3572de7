"""Pages in a browser: at rest, unfolded, and what axe-core has against them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import axe_playwright_python
from playwright.sync_api import Page, expect

AXE = (Path(axe_playwright_python.__file__).parent / "axe.min.js").read_text()
SERIOUS = ("serious", "critical")
#: Without what is at most moderate and takes a third of the time, and without fetching styles again
#: for rules that are not in force.
ALL: dict[str, Any] = {"preload": False, "rules": {"region": {"enabled": False}}}
#: All that a theme changes.
COLORS: dict[str, Any] = {"preload": False, "runOnly": ["color-contrast", "link-in-text-block"]}
#: Both without the contrast of texts, which takes most of the time and ``contrast`` measures.
UNCONTRASTED: dict[str, Any] = ALL | {
    "rules": ALL["rules"] | {"color-contrast": {"enabled": False}}
}
LINKS: dict[str, Any] = COLORS | {"runOnly": ["link-in-text-block"]}
#: The page as part of the document: Streamlit scrolls it in a frame, and axe-core takes all that is
#: outside the window there as hidden.
UNFRAMED = """.stApp, [data-testid=stAppViewContainer], [data-testid=stMain] {
  position: static !important; overflow: visible !important; height: auto !important }"""
#: Whether nothing moves, such as a section that opens, in which axe-core takes all that does not
#: show yet as hidden. What moves endlessly, such as a spinner, does not count.
STILL = """() => document.getAnimations().every((each) => each.playState !== 'running'
  || each.effect.getComputedTiming().endTime === Infinity)"""
#: Resolves after 200 ms without a change of the document. Terms are marked after 120 ms.
QUIET = """() => new Promise((resolve) => {
  let timer;
  const changed = () => { clearTimeout(timer); timer = setTimeout(end, 200); };
  const observer = new MutationObserver(changed);
  const end = () => { observer.disconnect(); resolve(); };
  observer.observe(document.body, { childList: true, subtree: true });
  changed();
})"""
#: Changes the path; returns the heading of the page that is left.
WALK = """(path) => {
  history.pushState({}, '', path);
  dispatchEvent(new PopStateEvent('popstate', { state: {} }));
  return document.querySelector('h1').textContent;
}"""
WALKED = "(left) => ![undefined, left].includes(document.querySelector('h1')?.textContent)"
#: Checks of a page, with a second in between, before what they find counts as lasting.
ATTEMPTS = 10
#: Keys of all marked terms.
MARKED = """() => [...document.querySelectorAll('.term')].map((term) => term.dataset.term)"""


def idle(page: Page) -> None:
    """Wait until Streamlit has run the page's script; after a click it may not have begun yet."""
    expect(page.locator("[data-test-script-state=notRunning]")).to_be_attached()


def settled(page: Page) -> None:
    """Wait until the page is drawn."""
    idle(page)
    expect(page.locator("[data-testid=stSkeleton]")).to_have_count(0)
    expect(page.locator("h1").first).to_be_visible()


def walk(page: Page, path: str) -> None:
    """Go to a page of the app with another heading as its links do, without loading all anew."""
    left = page.evaluate(WALK, f"/{path}")
    page.wait_for_function(WALKED, arg=left)  # the new page has begun to be drawn
    settled(page)


def themed(page: Page, scheme: str) -> None:
    """Switch the system's theme to ``scheme``; return once the page has followed.

    Some colors fade into their new ones; axe-core would find those in between too pale.
    """
    page.emulate_media(color_scheme=scheme)
    page.wait_for_function(
        "scheme => getComputedStyle(document.querySelector('.stApp')).colorScheme == scheme",
        arg=scheme,
    )
    page.wait_for_function(STILL)


def expect_to_fit(page: Page) -> None:
    """Fail if the page is wider than its window; charts may take a moment to shrink with it."""
    fits = "document.querySelector('[data-testid=stMain]').scrollWidth <= innerWidth"
    page.wait_for_function(fits)


def unfold(page: Page) -> None:
    """Open all sections; return once they have their full height."""
    folded = page.locator("details:not([open]) > summary")
    folded.evaluate_all("all => all.forEach((summary) => summary.click())")
    expect(folded).to_have_count(0)
    settled(page)
    page.wait_for_function(STILL)


def lasting(page: Page, check: Callable[[Page], list[str]]) -> list[str]:
    """What ``check`` finds and still finds later: after a change of size, charts follow."""
    for _ in range(ATTEMPTS):
        if not (found := check(page)):
            break
        page.wait_for_timeout(1000)
    return found


def at_rest(page: Page, rules: dict[str, Any] = ALL, within: str = "html") -> list[str]:
    """``violations`` that last."""
    return lasting(page, lambda page: violations(page, rules, within))


def violations(page: Page, rules: dict[str, Any] = ALL, within: str = "html") -> list[str]:
    """Return a line per element with a serious problem, among those that ``within`` selects."""
    if not page.evaluate("'axe' in window"):
        page.evaluate(AXE)
    style = page.add_style_tag(content=UNFRAMED)
    found = page.evaluate(
        "([within, rules]) => axe.run(within, {resultTypes: ['violations'], ...rules})",
        [within, rules],
    )
    style.evaluate("(style) => style.remove()")
    return [
        f"{violation['id']}: {node['html'][:120]} {node['failureSummary'][:160]}"
        for violation in found["violations"]
        if violation["impact"] in SERIOUS
        for node in violation["nodes"]
    ]
