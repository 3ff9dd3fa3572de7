"""No page is long before one asks for more: its visible words, in headless Chromium."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page, expect

#: Most words before the first figure, by page; Method has only text unfolded.
BEFORE = {
    "": 60,
    "inside": 75,
    "picture": 80,
    "builder": 80,
    "sizes": 60,
    "recipes": 80,
    "effects": 110,
    "ablations": 60,
    "training": 60,
    "method": 300,
    "glossary": 250,
}
MOST = 400
#: Words (with a letter) that are seen: before the first figure, and in all. Labels of charts and
#: drawings, and code, are pictures; what is folded is not seen.
COUNT = """() => {
  const main = document.querySelector('[data-testid=stMain]');
  const figure = [...main.querySelectorAll('.js-plotly-plot, .drawing svg, .pairs img, table')]
    .find((element) => element.checkVisibility());
  const texts = document.createTreeWalker(main, NodeFilter.SHOW_TEXT);
  let before = 0, all = 0;
  while (texts.nextNode()) {
    const parent = texts.currentNode.parentElement;
    if (parent.closest('svg, pre, style, script, [aria-hidden=true]')) continue;
    if (parent.closest('details:not([open])') && !parent.closest('summary')) continue;
    if (!parent.checkVisibility({ visibilityProperty: true, opacityProperty: true })) continue;
    const words = texts.currentNode.textContent.split(/\\s+/)
      .filter((word) => /\\p{L}/u.test(word)).length;
    all += words;
    const place = figure && figure.compareDocumentPosition(texts.currentNode);
    if (!figure || place & Node.DOCUMENT_POSITION_PRECEDING) before += words;
  }
  return [before, all];
}"""


def words(page: Page) -> tuple[int, int]:
    idle = page.locator("[data-test-script-state=notRunning]")
    expect(page.locator(".title")).to_be_visible(timeout=60_000)
    expect(idle).to_be_attached(timeout=60_000)
    expect(page.locator("[data-testid=stSkeleton]")).to_have_count(0, timeout=60_000)
    before, everything = page.evaluate(COUNT)
    return before, everything


@pytest.mark.parametrize("path", BEFORE)
def test_a_page_has_few_words_before_its_figure_and_in_all(open_path, path):
    before, everything = words(open_path(path))
    assert 20 < everything <= MOST
    assert before <= BEFORE[path]


def test_what_is_folded_is_not_counted_and_what_is_opened_is(open_path):
    page = open_path("method")
    _, folded = words(page)
    page.locator("summary", has_text="Sources").click()
    expect(page.get_by_role("link", name="The ConvNeXt repository")).to_be_visible()
    _, opened = words(page)
    assert opened > folded + 50
