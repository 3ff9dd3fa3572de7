"""Lecture mode in headless Chromium, by keyboard."""

from __future__ import annotations

import re

import pytest
from browser_pages import idle
from playwright.sync_api import expect

from roadmap.steps import ROADMAPS
from roadmap.views.lecture.slides import slides

TITLE = ".lecture-slide .lecture-title"
#: Height in pixels of every text in the drawing that is shown.
HEIGHTS = """() => [...document.querySelectorAll(
  '.lecture-slide .lecture-drawing :is(text, dt, dd, dd b)')]
  .filter((text) => text.textContent && text.getClientRects().length)
  .map((text) => parseFloat(getComputedStyle(text).fontSize) * (text.getScreenCTM?.().a ?? 1))"""
#: How far the slide, or its drawing, is larger than its place.
OVERFLOW = """() => {
  const area = document.querySelector('.lecture-slide .lecture-drawing');
  const shown = [...area.children].find((each) => each.style.display !== 'none');
  const tools = document.querySelector('.lecture-tools').getBoundingClientRect();
  const slide = document.querySelector('.lecture-slide');
  return Math.max(shown.getBoundingClientRect().bottom - tools.top,
    slide.scrollWidth - slide.clientWidth, slide.scrollHeight - slide.clientHeight);
}"""


@pytest.fixture
def lecture(open_path):
    """Opens lecture mode at a step, and waits for its slide."""

    def lecture(roadmap="resnet50", step="", **more):
        page = open_path(f"?present=1&roadmap={roadmap}&step={step}", **more)
        expect(page.locator(TITLE)).to_be_visible()
        return page

    return lecture


def test_it_is_stepped_by_keys_and_left_at_its_step(lecture):
    page = lecture(step="increase_width")
    title = page.locator(TITLE)
    expect(title).to_have_text("Increase width")
    page.keyboard.press("PageDown")
    expect(title).to_have_text("Inverted bottleneck")
    expect(page).to_have_url(re.compile("step=inverted_bottleneck"))
    live = page.locator(".lecture-slide [aria-live=polite]")
    expect(live.first).to_contain_text("Inverted bottleneck")
    expect(live.first).to_contain_text(ROADMAPS["resnet50"].step("inverted_bottleneck").hypothesis)
    expect(live.last).to_contain_text("ImageNet-1K top-1")
    page.keyboard.press("End")
    expect(title).to_have_text(ROADMAPS["resnet50"].steps[-1].title)
    page.keyboard.press("ArrowRight")
    expect(title).to_have_text(ROADMAPS["resnet50"].steps[-1].title)
    page.keyboard.press("Home")
    expect(title).to_have_text(ROADMAPS["resnet50"].steps[0].title)
    page.keyboard.press("ArrowDown")
    page.keyboard.press("p")
    expect(page.locator(".step")).to_have_text("Modern training recipe")
    expect(page.locator(".lecture")).to_have_count(0)


def test_the_button_and_its_key_open_it(open_path):
    page = open_path("?roadmap=resnet50&step=kernel_7&present=foo")
    expect(page.locator(".notice")).to_contain_text(
        "The URL parameter present is 'foo'. Available: 0, 1."
    )
    expect(page.locator("h2.step, .step").first).to_have_text("Kernel size 7")
    page.get_by_role("button", name="Present").click()
    expect(page.locator(TITLE)).to_have_text("Kernel size 7")
    page.keyboard.press("Escape")
    expect(page.locator(".lecture")).to_have_count(0)
    expect(page.get_by_role("button", name="Present")).to_be_visible()
    page.keyboard.press("p")
    expect(page.locator(TITLE)).to_have_text("Kernel size 7")


def test_the_page_that_it_covers_is_out_of_reach(lecture):
    page = lecture(step="increase_width")
    idle(page)
    focused = set()
    for _ in range(30):
        page.keyboard.press("Tab")
        focused.add(
            page.evaluate(
                "[document.activeElement].map((e) => e === document.body ? 'window' : "
                "e.closest('.lecture') ? 'lecture' : e.outerHTML)[0]"
            )
        )
    assert focused <= {"window", "lecture"}
    assert "lecture" in focused
    assert page.get_by_role("link").count() == 0  # of the pages
    page.keyboard.press("Escape")
    expect(page.get_by_role("link", name="Sizes")).to_be_visible()
    expect(page.get_by_role("button", name="Present")).to_be_visible()


def test_predict_first_hides_the_figures_and_the_coming_bars(lecture):
    page = lecture(step="increase_width")
    page.get_by_role("button", name="Predict first").click()
    page.keyboard.press("ArrowRight")
    figures = page.locator(".lecture-slide .lecture-figure")
    steps = page.locator(".lecture-step")
    now = ROADMAPS["resnet50"].keys.index("inverted_bottleneck")
    expect(page.locator(TITLE)).to_have_text("Inverted bottleneck")
    expect(figures).to_have_count(0)
    expect(steps.nth(now).locator("i")).to_have_css("opacity", "0")
    expect(steps.nth(now)).to_have_accessible_name(f"Step {now + 1}: Inverted bottleneck")
    expect(steps.nth(now - 1).locator("i")).to_have_css("opacity", "1")
    page.keyboard.press("ArrowRight")  # shows the result, and stays
    expect(figures.first).to_be_visible()
    expect(page.locator(TITLE)).to_have_text("Inverted bottleneck")
    expect(steps.nth(now).locator("i")).to_have_css("opacity", "1")
    expect(steps.nth(now)).to_have_accessible_name(re.compile("top-1 80.64%"))
    expect(steps.nth(now + 1).locator("i")).to_have_css("opacity", "0")


@pytest.mark.parametrize("width, height", [(1440, 900), (1920, 1080)])
def test_the_text_of_a_drawing_has_24_pixels_and_grows(lecture, width, height):
    """On the tallest network; all views of a step with none drawn and many changes."""
    page = lecture("resnet200", "training", viewport={"width": width, "height": height})
    before = {}
    for _ in range(3):
        for view in slides("resnet200")[1]["views"]:
            heights = page.evaluate(HEIGHTS)
            assert min(heights) >= max(24, before.get(view, 0) + 0.5), (view, heights)
            assert page.evaluate(OVERFLOW) <= 0, view
            before[view] = min(heights)
            page.keyboard.press("b")
        page.keyboard.press("+")
    assert len(before) == 3


def test_the_controls_are_reached_by_keyboard_and_named(lecture):
    page = lecture(step="kernel_7", scheme="light")
    controls = page.get_by_role("group", name="Lecture controls").get_by_role("button")
    count = controls.count()
    assert count == 9
    page.keyboard.press("Tab")
    expect(page.locator(".lecture-step:focus")).to_have_accessible_name(re.compile("Kernel size 7"))
    for index in range(count):
        page.keyboard.press("Tab")
        expect(controls.nth(index)).to_be_focused()
        expect(controls.nth(index)).to_have_accessible_name(re.compile(r"\w{4}"))
    ground = page.locator(".lecture")
    page.get_by_role("button", name="Dark theme").press("Enter")
    expect(ground).to_have_css("background-color", "rgb(21, 23, 27)")
    page.get_by_role("button", name="Light theme").press("Enter")
    expect(ground).to_have_css("background-color", "rgb(255, 255, 255)")
    size = "e => parseFloat(getComputedStyle(e).fontSize)"
    small = page.locator(TITLE).evaluate(size)
    page.get_by_role("button", name="Larger text").press("Enter")
    assert page.locator(TITLE).evaluate(size) > small
    page.get_by_role("button", name="Smaller text").press("Enter")
    assert page.locator(TITLE).evaluate(size) == small


@pytest.fixture
def page_of_its_own(browser):
    """A page in a context of its own: Playwright sets the clock of all pages of a context."""
    context = browser.new_context()
    yield context.new_page()
    context.close()


def test_the_block_morphs_in_600_ms_and_at_once_with_reduced_motion(page_of_its_own, address):
    page = page_of_its_own
    page.goto(f"{address}/?present=1&roadmap=resnet50&step=depthwise_conv")
    expect(page.locator(TITLE)).to_be_visible()
    page.clock.install(time=0)
    page.clock.pause_at(60_000)  # or a busy machine lets time pass in between
    shape = page.locator(".lecture-slide svg [data-name^=branch] polygon:visible").first
    node = shape.element_handle()
    points = "e => e.getAttribute('points')"
    start = node.evaluate(points)
    page.keyboard.press("ArrowRight")
    page.clock.run_for(300)
    middle = node.evaluate(points)
    page.clock.run_for(250)
    late = node.evaluate(points)
    page.clock.run_for(150)
    end = node.evaluate(points)
    assert len({start, middle, late, end}) == 4
    page.clock.run_for(2000)
    assert node.evaluate(points) == end
    assert node.evaluate("(e, now) => e === now", shape.element_handle())
    page.emulate_media(reduced_motion="reduce")
    page.keyboard.press("ArrowLeft")
    assert node.evaluate(points) == start  # no frame has passed


def test_it_prints_one_page_per_step(lecture):
    page = lecture()
    printed = page.pdf(prefer_css_page_size=True)
    pages = re.findall(rb"/Type */Page[^s]", printed)
    assert len(pages) == len(ROADMAPS["resnet50"].keys)
    page.emulate_media(media="print")
    sheets = page.locator(".lecture-page")
    for sheet, slide in zip(sheets.all(), slides("resnet50"), strict=True):
        expect(sheet.get_by_role("heading")).to_have_text(slide["title"])
        assert sheet.evaluate("e => e.scrollHeight - e.clientHeight") <= 0


def test_a_page_is_laid_out_for_its_own_width_not_for_that_of_letter_paper(lecture):
    """A browser first takes the paper's default width, which is that of a narrow window."""
    page = lecture()
    page.emulate_media(media="print")
    page.set_viewport_size({"width": 816, "height": 1056})
    for slide, sheet in zip(slides("resnet50"), page.locator(".lecture-page").all(), strict=True):
        words, figures = (sheet.locator(f".lecture-{name}") for name in ("words", "figures"))
        words, figures = words.bounding_box(), figures.bounding_box()
        if slide["views"][0] == "recipe":
            below = sheet.locator(".lecture-recipe").bounding_box()["y"]
            assert max(each["y"] + each["height"] for each in (words, figures)) <= below
        else:
            drawing = sheet.locator(".lecture-drawing svg").locator("visible=true").bounding_box()
            assert words["x"] + words["width"] <= drawing["x"]
            assert drawing["height"] > 0.5 * sheet.bounding_box()["height"], slide["key"]


def test_on_a_phone_nothing_is_cut_off(lecture):
    page = lecture(step="kernel_7", viewport={"width": 390, "height": 844})
    assert page.evaluate("document.querySelector('.lecture').scrollWidth") == 390
    page.get_by_role("button", name="Next step").click()
    expect(page.locator(TITLE)).to_have_text("Kernel size 9")
