"""What holds for every page, seen in one visit of each: few words, terms marked once, axe-core.

One visitor walks from page to page: loading the app anew would cost more than drawing a page. That
a page opens by its URL is tested in its own file.

The visit is wide in both themes, then narrow. Colors are the same in either width, so the narrow
window is only checked in one theme. The contrast of every text is measured in pixels; axe-core,
which takes longer for that and leaves some undecided, computes it only where text is out of sight.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from browser_pages import (
    COLORS,
    LINKS,
    MARKED,
    QUIET,
    UNCONTRASTED,
    at_rest,
    settled,
    themed,
    unfold,
    violations,
    walk,
)
from contrast import faint_at_rest, faint_texts, unreadable_at_rest, unreadable_texts
from playwright.sync_api import Page, expect


@dataclass(frozen=True)
class Visit:
    """What a visit of ``path`` found.

    ``before`` and ``words`` are the visible words before the first figure and in all, ``terms`` the
    keys of the marked terms, unfolded ones too, ``misplaced`` those where none should be, ``faint``
    the texts with too little contrast, also those on which axe-core does not decide.
    """

    path: str
    before: int
    words: int
    terms: list[str]
    misplaced: list[str]
    serious: list[str]
    faint: list[str]


#: Most words before the first figure; Method has only text unfolded.
BEFORE = {
    "": 60,
    "inside?step=gelu": 75,
    "picture": 80,
    "builder": 80,
    "sizes": 60,
    "finder": 100,
    "recipes": 80,
    "effects": 110,
    "ablations": 60,
    "training": 60,
    "method": 300,
    "glossary?term=gelu": 250,
}
#: A term in the prose.
TERMS = {
    "?view=path&step=depthwise_conv": "channel",
    "inside?step=depthwise_conv&tab=operation": "pointwise-convolution",
    "inside?step=gelu&tab=field": "stride",
    "picture": "feature-map",
    "builder": "parameters",
    "sizes": "block",
    "finder": "top-1",
    "recipes": "mixup",
    "effects": "interval",
    "ablations": "activation",
    "method": "effective-receptive-field",
}
OTHERS = (
    "?view=both",
    "?present=1",
    "inside?step=gelu&tab=network",
    "inside?step=gelu&tab=cost",
    "inside?step=gelu&tab=code",
    "inside?step=gelu&tab=config",
    "picture?at=b.stages.1.blocks.0.branch.conv1",
    "picture?at=b.stages.1.blocks.0.branch.conv1/5/3,3",
)
MOST = 400
#: Pages without charts, which the walker crosses from each page to the next: so nothing of the page
#: before is left, not even its heading, and no chart follows the change of theme and width.
BETWEEN = ("training", "recipes", "method")
WIDE = {"width": 1440, "height": 900}
NARROW = {"width": 390, "height": 844}
#: Words (with a letter) that are seen: before the first figure, and in all. Labels of charts and
#: drawings, and code, are pictures; what is folded is not seen.
COUNT = """() => {
  const main = document.querySelector('[data-testid=stMain]');
  const figure = [...main.querySelectorAll('.js-plotly-plot, .drawing svg, .pairs img, table, '
    + '[data-testid=stBidiComponentIsolated]')]
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
#: The text of marked terms in a place where none should be.
MISPLACED = """() => [...document.querySelectorAll('.term')].filter((term) =>
  term.closest('h1, h2, h3, h4, a, button, code, pre, svg, summary, .legend')
  || !term.closest('.stHtml')).map((term) => term.textContent)"""


#: First those that do not select a step, which the app would remember.
PATHS = sorted({*BEFORE, *TERMS, *OTHERS}, key=lambda path: ("step=" in path, path))


@pytest.fixture(scope="module")
def walker(visitor) -> Iterator[Page]:
    with visitor() as open_path:
        page = open_path(BETWEEN[0])
        settled(page)
        yield page


@pytest.fixture(scope="module", params=PATHS)
def visit(request, walker) -> Visit:
    page, path = walker, request.param
    walk(page, next(each for each in BETWEEN if each != path and each not in page.url))
    page.set_viewport_size(WIDE)
    themed(page, "light")
    walk(page, path)
    if path.startswith("picture"):
        expect(page.locator(".picture")).to_be_visible()
    before, words = page.evaluate(COUNT)
    if path in TERMS:
        term = page.locator(f".term[data-term={TERMS[path]}]")
        expect(term).to_have_count(1)
    unfold(page)
    page.evaluate(QUIET)
    serious = at_rest(page, UNCONTRASTED)
    faint = unreadable_at_rest(page)
    terms, misplaced = page.evaluate(MARKED), page.evaluate(MISPLACED)
    themed(page, "dark")
    serious += at_rest(page, LINKS)
    faint += unreadable_at_rest(page)
    page.set_viewport_size(NARROW)
    serious += at_rest(page, UNCONTRASTED)
    faint += faint_at_rest(page)
    return Visit(path, before, words, terms, misplaced, serious, faint)


def test_axe_core_finds_nothing_serious(visit):
    assert visit.serious == []


def test_no_text_is_faint_in_drawings_and_charts_either(visit):
    assert visit.faint == []


def test_a_page_has_few_words_before_its_figure_and_in_all(visit):
    if visit.path in BEFORE:
        assert 20 < visit.words <= MOST
        assert visit.before <= BEFORE[visit.path]


def test_terms_are_marked_once_per_page_in_its_prose(visit):
    assert len(visit.terms) == len(set(visit.terms))
    assert visit.misplaced == []


@pytest.mark.parametrize(
    ("path", "place", "starts"),
    [
        ("training", ".title", "contrast"),
        ("training", "input[type=number]", "contrast"),
        # Out of sight, and so computed by axe-core.
        ("inside?step=gelu&tab=code", "pre .interpolation", "color-contrast"),
    ],
)
def test_what_is_hard_to_read_is_found(open_path, path, place, starts):
    page = open_path(path)
    settled(page)
    expect(page.locator(place).first).to_be_visible()
    page.add_style_tag(content=f"{place} {{ color: #dddddd !important }}")
    assert any(line.startswith(starts) for line in unreadable_texts(page))


@pytest.mark.parametrize(
    ("path", "place", "faint"),
    [
        ("inside?step=gelu", ".drawing svg text", "{ fill: #999 !important }"),
        ("sizes", ".stPlotlyChart .xtitle", "{ fill: #999 !important }"),
        ("method", ".lead", "{ background: linear-gradient(#888, #777) }"),
        (
            "method",
            ".lead",
            "{ position: relative; z-index: 0; &::before { content: ''; position: absolute; "
            "inset: 0; background: #888; z-index: -1 } }",
        ),
    ],
)
def test_what_axe_core_cannot_decide_is_found(open_path, path, place, faint):
    page = open_path(path)
    settled(page)
    expect(page.locator(place).first).to_be_visible()
    assert faint_at_rest(page) == []
    page.add_style_tag(content=f"#root {place} {faint}")
    assert violations(page, COLORS) == []
    assert faint_texts(page)


def test_what_is_hard_to_read_is_found_in_every_section_whatever_the_window_shows(open_path):
    page = open_path("method")
    settled(page)
    unfold(page)
    pale = "details :is(dt, p.text, li)"
    page.add_style_tag(content=f"{pale} {{ color: #dddddd !important }}")
    texts = page.locator(pale)
    assert texts.count() > 25
    found = {line.partition("<")[2] for line in faint_texts(page)}
    starts = texts.evaluate_all("all => all.map((each) => each.outerHTML.slice(1, 120))")
    assert set(starts) <= found


def test_what_is_folded_is_not_counted_and_what_is_opened_is(open_path):
    page = open_path("method")
    settled(page)
    _, folded = page.evaluate(COUNT)
    page.locator("summary", has_text="Sources").click()
    expect(page.get_by_role("link", name="The ConvNeXt repository")).to_be_visible()
    _, opened = page.evaluate(COUNT)
    assert opened > folded + 50
