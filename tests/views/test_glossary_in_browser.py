"""Terms are underlined once per page and open their card, by click and by keyboard."""

from __future__ import annotations

import re
from itertools import product

import pytest
from browser_pages import MARKED, at_rest, settled, themed
from playwright.sync_api import Locator, Page, expect
from resting import resting_box

from roadmap.views.glossary.terms import TERMS

NARROW = {"width": 390, "height": 844}


def marked(page: Page, key: str) -> Locator:
    """The marked term, once the page is at rest."""
    settled(page)
    term = page.locator(f".term[data-term={key}]")
    expect(term).to_have_count(1)
    return term


def test_what_is_unfolded_is_marked_and_a_new_step_marks_its_own_terms(open_path):
    page = open_path("?roadmap=resnet50&step=patchify_stem")
    marked(page, "patchify-stem")
    expect(page.locator(".term[data-term=receptive-field]")).to_have_count(0)
    page.locator("summary", has_text="All figures of this step").click()
    marked(page, "receptive-field")
    page.get_by_role("button", name="Next", exact=True).click()
    marked(page, "channel")
    expect(page.locator(".term[data-term=patchify-stem]")).to_have_count(0)
    keys = page.evaluate(MARKED)
    assert len(keys) == len(set(keys))


def test_a_click_opens_the_card_and_escape_returns_the_focus(open_path):
    page = open_path("?roadmap=resnet50&step=depthwise_conv")
    term = marked(page, "channel")
    text = term.locator("xpath=..").inner_text()
    expect(term).to_have_attribute("aria-expanded", "false")
    term.click()
    card = page.get_by_role("dialog", name="Channel")
    expect(card).to_be_visible()
    expect(card).to_be_focused()
    expect(term).to_have_attribute("aria-expanded", "true")
    expect(card.get_by_role("img")).to_be_visible()
    expect(card).to_contain_text("each channel responds to its own pattern")
    page.keyboard.press("Escape")
    expect(card).to_be_hidden()
    expect(term).to_be_focused()
    expect(term).to_have_attribute("aria-expanded", "false")
    assert term.locator("xpath=..").inner_text() == text


@pytest.mark.parametrize("key", ["Enter", "Space"])
def test_a_key_opens_the_card_whose_links_follow_in_tab_order(open_path, key):
    page = open_path("?roadmap=resnet50&step=depthwise_conv")
    term = marked(page, "depthwise-convolution")
    term.focus()
    page.keyboard.press(key)
    card = page.get_by_role("dialog", name="Depthwise convolution")
    expect(card).to_be_focused()
    page.keyboard.press("Tab")
    expect(card.get_by_role("link", name="Try it")).to_be_focused()
    page.keyboard.press("Tab")
    expect(card.get_by_role("link", name="Glossary")).to_be_focused()
    page.keyboard.press("Tab")
    expect(card.get_by_role("button", name="Close")).to_be_focused()
    page.keyboard.press("Enter")
    expect(card).to_be_hidden()
    expect(term).to_be_focused()


def test_a_click_on_the_term_or_elsewhere_closes_the_card(open_path):
    page = open_path("method")
    term = marked(page, "gflops")
    card = page.get_by_role("dialog")
    for close in (term.click, page.locator(".title").click):
        term.click()
        expect(card).to_be_visible()
        close()
        expect(card).to_be_hidden()
        expect(term).to_have_attribute("aria-expanded", "false")
    term.click()
    other = marked(page, "batch-norm")
    other.evaluate("(term) => term.click()")
    expect(page.get_by_role("dialog", name="Batch norm")).to_be_visible()
    expect(term).to_have_attribute("aria-expanded", "false")
    expect(other).to_have_attribute("aria-expanded", "true")


def test_the_card_closes_when_its_term_is_replaced(open_path):
    page = open_path("?roadmap=resnet50&step=depthwise_conv")
    marked(page, "channel").click()
    card = page.get_by_role("dialog", name="Channel")
    expect(card).to_be_visible()
    page.get_by_role("button", name="Next", exact=True).evaluate("(button) => button.click()")
    expect(card).to_be_hidden()


@pytest.mark.parametrize("viewport", [NARROW, {"width": 1440, "height": 900}], ids=["390", "1440"])
def test_the_card_is_inside_the_window_beside_its_term_and_reachable(open_path, viewport):
    page = open_path("?roadmap=resnet50&step=inverted_bottleneck", viewport)
    for key, scheme in product(("top-1", "interval"), ("light", "dark")):
        themed(page, scheme)
        term = marked(page, key)
        term.scroll_into_view_if_needed()
        term.click()
        card = page.get_by_role("dialog")
        expect(card).to_be_visible()
        card.evaluate("card => Promise.all(card.getAnimations().map((each) => each.finished))")
        box, place = resting_box(card), resting_box(term)
        assert box["x"] >= 0
        assert box["x"] + box["width"] <= viewport["width"]
        assert box["y"] >= 0
        assert box["y"] + box["height"] <= viewport["height"]
        below, above = (
            box["y"] - place["y"] - place["height"],
            place["y"] - box["y"] - box["height"],
        )
        assert 0 <= max(below, above) < 12
        assert at_rest(page, within="[role=dialog], .term") == []  # the card fades in
        page.keyboard.press("Escape")
    width = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
    assert page.evaluate(width) == 0


def test_the_words_of_an_operation_are_marked(open_path):
    page = open_path("inside?step=stage_ratio&tab=operation")
    term = marked(page, "gflops")
    expect(term).to_have_text("multiply-adds")
    expect(term).to_have_css("text-decoration-line", "underline")
    term.press("Enter")
    expect(page.get_by_role("dialog", name="GFLOPs")).to_be_focused()
    page.keyboard.press("Escape")
    expect(term).to_be_focused()
    expect(term).to_have_attribute("aria-expanded", "false")
    page.get_by_role("button", name="Add a block to stage 1").click()
    marked(page, "gflops")
    expect(page.locator(".operation button .term")).to_have_count(0)


def test_a_lecture_marks_the_terms_of_its_sentence(open_path):
    page = open_path("?present=1&step=patchify_stem")
    expect(page.locator(".lecture .term")).to_have_text(["stem", "patches that do not overlap"])
    term = page.locator(".lecture .term[data-term=stem]")
    term.click()
    card = page.get_by_role("dialog", name="Stem")
    expect(card).to_be_visible()
    sizes = card.locator("p").evaluate_all("all => all.map((p) => getComputedStyle(p).fontSize)")
    assert float(sizes[1].removesuffix("px")) >= 24
    page.keyboard.press("Escape")  # closes the card, not the lecture
    expect(card).to_be_hidden()
    expect(term).to_be_focused()
    term.click()
    page.keyboard.press("ArrowRight")
    expect(card).to_be_hidden()
    expect(page.locator(".lecture .term")).to_have_text(["channels"])
    page.keyboard.press("Escape")
    expect(page.locator(".lecture")).to_have_count(0)
    marked(page, "channel").click()
    expect(page.get_by_role("dialog", name="Channel")).to_be_visible()


def test_a_term_is_found_by_what_is_typed(open_path):
    page = open_path("glossary", NARROW)
    field = page.get_by_role("searchbox", name="Find a term")
    cards, groups = page.locator(".glossary-card:visible"), page.locator("h2.section:visible")
    expect(cards).to_have_count(len(TERMS))
    field.fill("LayerNorm")  # a spelling that is nowhere on the page
    expect(cards).to_have_count(1)
    expect(cards.locator("summary")).to_have_text("Layer norm")
    expect(groups).to_have_text(["Norms and activations"])
    expect(page.get_by_role("status")).to_have_text(f"1 of {len(TERMS)} terms")
    field.fill("xyz")
    expect(groups).to_have_count(0)
    field.fill("")
    expect(cards).to_have_count(len(TERMS))
    training = page.get_by_role("heading", name="Training", exact=True)
    expect(training).not_to_be_in_viewport()
    page.get_by_role("navigation", name="Groups").get_by_role("link", name="Training").click()
    expect(training).to_be_in_viewport()
    assert training.bounding_box()["y"] >= 56  # below the header


def test_reduced_motion_is_respected(open_path):
    page = open_path("method")
    page.emulate_media(reduced_motion="reduce")
    marked(page, "gflops").click()
    expect(page.get_by_role("dialog")).to_have_css("transition-duration", "0s")


def test_the_card_leads_to_its_entry_on_the_glossary_page(open_path):
    page = open_path("method")
    marked(page, "batch-norm").click()
    page.get_by_role("dialog").get_by_role("link", name="Glossary").click()
    settled(page)
    expect(page).to_have_url(re.compile("/glossary.term=batch-norm"))
    summary = page.locator("summary", has_text=re.compile("^Batch norm$"))
    expect(summary).to_be_focused()
    expect(summary).to_be_in_viewport()
    expect(page.get_by_text("Each channel is normalized to mean 0")).to_be_visible()
    expect(page.locator(".term")).to_have_count(0)
    page.locator("summary", has_text=re.compile("^GELU$")).click()
    expect(page.get_by_text("A smooth activation")).to_be_visible()
