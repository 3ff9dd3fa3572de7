"""Lecture mode in headless Chromium, by keyboard."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import expect

from roadmap.steps import ROADMAPS

#: Sizes in pixels as seen: the text of the drawings, then the sentence.
TEXT_SIZES = """() => [
  ...[...document.querySelectorAll('.lecture-slide svg')].map((drawing) =>
    parseFloat(getComputedStyle(drawing.querySelector('text')).fontSize)
      * drawing.getScreenCTM().a),
  parseFloat(getComputedStyle(document.querySelector('.lecture-sentence')).fontSize)]"""
#: Notes the drawing at each frame, and for how many frames it has been the same.
RECORD = """() => {
  window.seen = [{ drawn: '', still: 0 }];
  const note = () => {
    const drawn = document.querySelector('.lecture-slide .lecture-drawing').innerHTML;
    const last = window.seen.at(-1);
    window.seen.push({ drawn, still: last.drawn === drawn ? last.still + 1 : 0 });
    requestAnimationFrame(note);
  };
  note();
}"""


def test_it_is_stepped_by_keys_and_left_at_its_step(open_path):
    page = open_path("?present=1&roadmap=resnet50&step=increase_width")
    title = page.locator(".lecture-slide .lecture-title")
    expect(title).to_have_text("Increase width", timeout=30_000)
    page.keyboard.press("PageDown")
    expect(title).to_have_text("Inverted bottleneck")
    expect(page).to_have_url(re.compile("step=inverted_bottleneck"))
    page.keyboard.press("ArrowLeft")
    expect(title).to_have_text("Increase width")
    page.get_by_role("button", name="Predict first").click()
    page.keyboard.press("ArrowRight")
    figures = page.locator(".lecture-slide .lecture-figure")
    expect(title).to_have_text("Inverted bottleneck")
    expect(figures).to_have_count(0)
    page.keyboard.press("ArrowRight")  # shows the result, and stays
    expect(figures.first).to_be_visible()
    expect(title).to_have_text("Inverted bottleneck")
    page.keyboard.press("p")
    expect(page.locator(".step")).to_have_text("Inverted bottleneck", timeout=30_000)
    expect(page.locator(".lecture")).to_have_count(0)


def test_it_prints_one_page_per_step(open_path):
    page = open_path("?present=1&roadmap=resnet50")
    expect(page.locator(".lecture-slide .lecture-title")).to_be_visible(timeout=30_000)
    printed = page.pdf(prefer_css_page_size=True)
    pages = re.findall(rb"/Type */Page[^s]", printed)
    assert len(pages) == len(ROADMAPS["resnet50"].keys)


@pytest.mark.parametrize("viewport", [(1440, 900), (1920, 1080)])
def test_text_is_large_at_every_size(open_path, viewport):
    page = open_path("?present=1&step=gelu", dict(zip(("width", "height"), viewport, strict=True)))
    expect(page.locator(".lecture-slide svg").first).to_be_visible(timeout=30_000)
    sizes = []
    for _ in range(3):
        sizes.append(page.evaluate(TEXT_SIZES))
        page.keyboard.press("+")
    assert min(min(each) for each in sizes) >= 24
    assert sizes[0][-1] < sizes[1][-1] < sizes[2][-1]


def test_the_block_morphs_and_does_not_if_motion_is_reduced(open_path):
    page = open_path("?present=1&step=move_up_depthwise")
    shape = page.locator(".lecture-slide [data-name] polygon").last
    expect(shape).to_be_visible(timeout=30_000)
    page.evaluate(RECORD)
    page.keyboard.press("ArrowRight")
    page.wait_for_function("window.seen.at(-1).still > 30", polling=50)
    assert page.evaluate("new Set(window.seen.map(({ drawn }) => drawn)).size") > 10
    page.emulate_media(reduced_motion="reduce")
    page.evaluate(RECORD)
    page.keyboard.press("ArrowRight")
    page.wait_for_function("window.seen.at(-1).still > 30", polling=50)
    assert (
        page.evaluate("new Set(window.seen.map(({ drawn }) => drawn)).size") == 3
    )  # none, before, after


def test_a_change_of_the_recipe_is_shown_by_its_values(open_path):
    page = open_path("?present=1&roadmap=torchvision_recipe&step=mixup")
    figure = page.locator(".lecture-slide .lecture-figure", has_text="Mixup, alpha")
    expect(figure).to_contain_text("before: 0", timeout=30_000)
    expect(figure.locator("b")).to_have_text("0.2")


def test_an_unknown_value_is_a_sentence(open_path):
    page = open_path("?present=foo")
    expect(page.locator(".notice")).to_contain_text("present is 'foo'", timeout=30_000)
