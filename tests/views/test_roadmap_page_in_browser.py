"""The first page as a person uses it: in headless Chromium, with the mouse and the keyboard."""

from __future__ import annotations

import csv
import re

import pytest
from browser import ROOT
from browser_pages import expect_to_fit, idle, themed
from PIL import Image
from playwright.sync_api import Page, expect
from resting import click_chart, resting, resting_box

from roadmap.steps import ROADMAPS

WIDE, NARROW = {"width": 1440, "height": 900}, {"width": 390, "height": 844}
PICTURES = ROOT / "build" / "screenshots"
BOXES = "texts => texts.map(text => [text.textContent, text.getBoundingClientRect().toJSON()])"
#: Whether the lightness of a chart's text differs by 70% from that of the page behind it.
LEGIBLE = """() => {
  const lightness = (color) => {
    const [red, green, blue] = color.match(/\\d+/g).map(Number);
    return (red + green + blue) / 3 / 255;
  };
  const text = document.querySelector('.js-plotly-plot .annotation-text');
  if (!text) return false;
  const ground = getComputedStyle(document.querySelector('.stApp')).backgroundColor;
  return Math.abs(lightness(getComputedStyle(text).fill) - lightness(ground)) > 0.7;
}"""


@pytest.fixture
def open_page(open_path):
    """``open_path``, once the chart stands."""

    def open_page(*arguments, **options) -> Page:
        page = open_path(*arguments, **options)
        expect(page.locator(".js-plotly-plot .point").first).to_be_attached()
        return page

    return open_page


def chart(page: Page):
    """The chart that is shown; while another one comes, Streamlit still holds the last, hidden."""
    return page.locator(".js-plotly-plot:visible")


def dots(page: Page):
    """The dots of top-1; other metrics have bars. Steps without a published figure have none."""
    return chart(page).locator(".trace.scatter:has(.point)").last.locator(".point")


def rows(page: Page):
    """What can be clicked: the whole row of every step."""
    return chart(page).locator(".trace.bars").first.locator(".point")


def texts(page: Page):
    return chart(page).locator(".annotation-text, [class*=tick] text")


def click_row(page: Page, index: int) -> None:
    settle(page)
    rows(page).nth(index).scroll_into_view_if_needed()
    box = resting_box(rows(page).nth(index))
    click_chart(page, box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)


def settle(page: Page) -> None:
    """Waits until Streamlit has run, and one chart stands."""
    idle(page)
    expect(page.locator(".js-plotly-plot")).to_have_count(1)


def expect_step(page: Page, title: str, address: str) -> None:
    expect(page.locator(".step")).to_have_text(title)
    expect(page).to_have_url(re.compile(re.escape(address) + "$"))
    bold = texts(page).filter(has=page.locator("tspan[style*=bold]"))
    expect(bold.filter(has_text=title).last).to_be_attached()


def test_clicking_rows(open_page):
    page = open_page()
    expect(page.locator(".step")).to_have_text("ResNet")
    click_row(page, 6)
    expect_step(page, "Inverted bottleneck", "?roadmap=resnet50&step=inverted_bottleneck")
    click_row(page, 10)
    expect_step(page, "Kernel size 9", "?roadmap=resnet50&step=kernel_9")
    click_row(page, 6)  # back to one that was selected before
    expect_step(page, "Inverted bottleneck", "?roadmap=resnet50&step=inverted_bottleneck")
    click_row(page, 6)  # the same again: it stays, and the chart still answers
    page.wait_for_timeout(700)  # Plotly takes two clicks within 500 ms as a double click
    settle(page)
    expect_step(page, "Inverted bottleneck", "?roadmap=resnet50&step=inverted_bottleneck")
    click_row(page, 16)
    expect_step(page, "Separate downsampling", "?roadmap=resnet50&step=separate_downsampling")
    expect(
        page.get_by_role("img", name=re.compile("layer scale \\(added\\)")).first
    ).to_be_visible()


@pytest.mark.parametrize("step", ["baseline", "kernel_7"])
def test_no_row_of_the_panel_covers_the_next(open_page, step):
    rows = open_page(f"?step={step}").locator(".panel-row")
    expect(rows).to_have_count(3)
    tables = rows.locator(".strip")
    expect(tables.first).to_be_visible()
    for row in rows.all():
        over = row.evaluate("row => row.scrollHeight - row.clientHeight")
        assert over <= 1, row.inner_text()


def test_the_row_beside_a_dot_answers_too(open_page):
    page = open_page()
    settle(page)
    box, other = resting_box(dots(page).first), resting_box(dots(page).nth(3))
    click_chart(page, box["x"] + box["width"] + 100, other["y"] + other["height"] / 2)
    expect_step(page, "Patchify stem", "?roadmap=resnet50&step=patchify_stem")


@pytest.mark.parametrize(
    ("parameters", "name"),
    [
        ("", "Kernel size 5, 80.35%"),
        ("view=path&", "Kernel size 5, 80.35% top-1, 4.10 GFLOPs"),
        ("metric=gflops&", "Kernel size 5, 4.10 GFLOPs"),
    ],
)
def test_steps_are_selected_in_the_chart_by_keyboard(open_page, parameters, name):
    page = open_page(f"?{parameters}roadmap=resnet50&step=kernel_7")
    settle(page)
    option = page.get_by_role("option", name=re.compile("^Kernel size 7"))
    expect(option).to_have_attribute("aria-selected", "true")
    page.locator(".chart-keys [tabindex='0']").focus()  # its one stop
    expect(option).to_be_focused()
    page.keyboard.press("ArrowUp")
    option = page.get_by_role("option", name=name, exact=True)
    expect(option).to_be_focused()
    mark = chart(page).locator(".trace:has(.point)").first.locator(".point").nth(8)
    frame, around = mark.bounding_box(), option.bounding_box()
    assert around["y"] + around["height"] / 2 == pytest.approx(
        frame["y"] + frame["height"] / 2, abs=2
    )
    assert around["x"] <= frame["x"]
    assert around["x"] + around["width"] >= frame["x"] + frame["width"]
    page.keyboard.press("Enter")
    expect(page.locator(".step")).to_have_text("Kernel size 5")
    settle(page)
    expect(option).to_have_attribute("aria-selected", "true")
    expect(option).to_be_focused()  # in the chart that took the place of the other
    page.keyboard.press("Home")
    page.keyboard.press("Space")
    expect(page.locator(".step")).to_have_text("ResNet")


def test_taps_on_a_phone(open_page):
    page = open_page("", NARROW, touch=True)
    for index, key, title in (
        (6, "inverted_bottleneck", "Inverted bottleneck"),
        (3, "patchify_stem", "Patchify stem"),
    ):
        settle(page)
        row = rows(page).nth(index)
        row.scroll_into_view_if_needed()
        box = resting_box(row)
        page.touchscreen.tap(box["x"] + 10, box["y"] + box["height"] / 2)
        expect_step(page, title, f"?roadmap=resnet50&step={key}")


def test_a_bare_address_says_what_it_shows_and_back_leaves(open_path):
    page = open_path()
    expect(page).to_have_url(re.compile("roadmap=resnet50&step=baseline$"))
    page.get_by_role("button", name="Next").click()
    expect_step(page, "Modern training recipe", "?roadmap=resnet50&step=training")
    page.go_back()
    expect_step(page, "ResNet", "?roadmap=resnet50&step=baseline")
    page.go_back()
    expect(page).to_have_url("about:blank")


def test_a_shared_url_opens_at_its_step_and_back_goes_back(open_page):
    page = open_page("?roadmap=resnet200&step=kernel_7")
    expect_step(page, "Kernel size 7", "?roadmap=resnet200&step=kernel_7")
    expect(page.get_by_text("of Swin-B, for")).to_be_visible()
    page.get_by_role("button", name="Next").click()
    expect_step(page, "Kernel size 9", "?roadmap=resnet200&step=kernel_9")
    page.go_back()
    expect_step(page, "Kernel size 7", "?roadmap=resnet200&step=kernel_7")
    page.reload()
    expect_step(page, "Kernel size 7", "?roadmap=resnet200&step=kernel_7")


def test_switching_roadmap_and_metric(open_page):
    page = open_page("?roadmap=resnet50&step=kernel_7")
    page.get_by_role("radio", name="ResNet-200").click()
    expect_step(page, "Kernel size 7", "?roadmap=resnet200&step=kernel_7")
    page.get_by_role("radio", name="Parameters").click()
    expect(chart(page).locator(".xtitle")).to_have_text("Parameters, million")
    page.get_by_role("radio", name="GFLOPs").click()
    expect(chart(page).locator(".xtitle")).to_contain_text("GFLOPs per image")
    click_row(page, 4)
    expect_step(
        page, "Depthwise convolution", "?roadmap=resnet200&step=depthwise_conv&metric=gflops"
    )
    expect(chart(page).locator(".xtitle")).to_contain_text("GFLOPs per image")  # the metric stays
    page.get_by_role("radio", name="TorchVision recipe").click()
    expect_step(page, "Baseline", "?roadmap=torchvision_recipe&step=baseline&metric=gflops")


def test_the_path_and_both_sizes(open_page):
    page = open_page("?roadmap=resnet50&step=kernel_7")
    page.get_by_role("radio", name="Path").click()
    points = chart(page).locator(".scatterlayer .points path")
    expect(points.nth(5)).to_be_visible()
    settle(page)
    box = resting_box(points.nth(5))
    click_chart(page, box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    expect(page.locator(".step")).to_have_text("Increase width")
    expect(page).to_have_url(re.compile("(?=.*view=path)(?=.*step=increase_width)"))
    page.get_by_role("radio", name="Both sizes").click()
    expect(chart(page)).to_have_count(2)
    idle(page)
    second = chart(page).nth(1)
    box = resting_box(second.locator(".trace.bars").nth(1).locator(".point").nth(3))
    click_chart(page, box["x"] + 5, box["y"] + box["height"] / 2)
    expect(page).to_have_url(re.compile("(?=.*roadmap=resnet200)(?=.*step=patchify_stem)"))


def test_a_chart_is_saved_dark_on_white_and_as_data(open_page, tmp_path):
    page = open_page("?roadmap=resnet50&step=kernel_7", scheme="dark")
    settle(page)
    saved = {}
    for kind in ("PNG", "SVG", "CSV"):
        with page.expect_download() as download:
            page.get_by_role("button", name=kind).click()
        saved[kind] = tmp_path / download.value.suggested_filename
        download.value.save_as(saved[kind])
    assert saved["PNG"].name == "resnet50-top1.png"
    with Image.open(saved["PNG"]) as image:
        assert image.convert("RGBA").getpixel((2, 2)) == (255, 255, 255, 255)
        assert image.width > 900  # twice that of the page
    assert "Kernel size 7" in saved["SVG"].read_text()
    assert "Dot chart of ImageNet-1K top-1" in saved["SVG"].read_text()  # it says what it shows
    for sign in (
        "━● change from the step before",
        "○ tried, not adopted",
        "├┤ standard deviation of 3 runs",
    ):
        assert sign in saved["SVG"].read_text()
    rows = list(csv.DictReader(saved["CSV"].open()))
    assert [row["key"] for row in rows] == list(ROADMAPS["resnet50"].keys)
    assert rows[9]["top1"] == "80.57"


def test_the_keyboard_alone(open_page):
    page = open_page()
    page.get_by_role("button", name="Next").focus()
    page.keyboard.press("Enter")
    expect_step(page, "Modern training recipe", "?roadmap=resnet50&step=training")
    box = page.get_by_role("combobox", name="Step")
    box.focus()
    page.keyboard.type("gelu")
    page.keyboard.press("Enter")
    expect_step(page, "ReLU to GELU", "?roadmap=resnet50&step=gelu")


def test_it_fits_and_can_be_read_in_both_themes(open_page):
    page = open_page("?roadmap=resnet50&step=separate_downsampling")
    page.locator("summary", has_text="Stage by stage").click()
    expect(page.locator(".stages")).to_be_visible()
    for viewport in (WIDE, NARROW):
        page.set_viewport_size(viewport)
        themed(page, "light")
        settle(page)
        expect_to_fit(page)
        _can_be_read(page, viewport["width"])


def _can_be_read(page: Page, width: int) -> None:
    boxes = resting(page, lambda: texts(page).evaluate_all(BOXES))
    start = rows(page).first.bounding_box()["x"]
    for text, box in boxes:
        end = box["x"] + box["width"]
        assert box["x"] >= 0, text
        assert box["height"] >= 11, text
        assert end <= (start if box["x"] < start else width), text  # labels end before rows begin
    across = [dot.bounding_box()["x"] for dot in dots(page).all()]
    assert max(across) - min(across) > 70  # from 76 to 82% of top-1
    for scheme, lightest, darkest in (("light", 1, 0.9), ("dark", 0.15, 0)):
        themed(page, scheme)
        settle(page)
        page.wait_for_function(LEGIBLE)  # once the chart has followed the theme
        ground = page.evaluate("getComputedStyle(document.querySelector('.stApp')).backgroundColor")
        assert darkest <= lightness(ground) <= lightest
        PICTURES.mkdir(parents=True, exist_ok=True)
        page.screenshot(path=PICTURES / f"roadmap-{width}-{scheme}.png")


@pytest.mark.parametrize("viewport", [WIDE, NARROW], ids=["wide", "narrow"])
def test_the_next_step_is_in_reach_at_any_scroll(open_page, viewport):
    page = open_page("?roadmap=resnet50&step=kernel_5", viewport)
    settle(page)
    next_step = page.get_by_role("button", name="Next")
    expect(next_step).to_be_in_viewport(ratio=1)
    drawing = page.get_by_role("img", name=re.compile("5 by 5 depthwise")).last
    expect(drawing).to_be_attached()
    if viewport is WIDE:
        expect(drawing).to_be_in_viewport(ratio=1)  # on one screen with the button
    page.get_by_text("Every step in a table").scroll_into_view_if_needed()
    expect(page.locator(".title")).not_to_be_in_viewport()
    expect(next_step).to_be_in_viewport(ratio=1)
    next_step.click()
    expect_step(page, "Kernel size 7", "?roadmap=resnet50&step=kernel_7")
    expect(next_step).to_be_in_viewport(ratio=1)


def test_next_comes_before_the_downloads_in_tab_order(open_page):
    page = open_page()
    settle(page)
    order = page.locator("button:visible").all_inner_texts()
    assert order.index("Next") < order.index("PNG")


def test_the_panels_pictures_fit_and_have_their_marks(open_page):
    page = open_page("?roadmap=resnet50&step=fewer_norms")
    for viewport in (WIDE, NARROW):
        page.set_viewport_size(viewport)
        settle(page)
        resting_box(page.get_by_role("region", name="Evidence"))
        assert_marks(page)


def assert_marks(page: Page) -> None:
    """The pictures of the panel are inside it, and each has its marks."""
    for name, marks in (("Mechanism", 2), ("Evidence", 8), ("Confidence", 3)):
        region = page.get_by_role("region", name=name)
        found = region.locator("i")
        assert found.count() == marks, name
        outer = region.bounding_box()
        for mark in found.all():
            box = mark.bounding_box()
            assert box["width"] > 0
            assert outer["x"] <= box["x"]
            assert box["x"] + box["width"] <= outer["x"] + outer["width"] + 1
            assert box["width"] < outer["width"] - 100, name


def lightness(color: str) -> float:
    red, green, blue = (int(value) for value in re.findall(r"\d+", color)[:3])
    return (red + green + blue) / 3 / 255
