"""The first page as a person uses it: in headless Chromium, with the mouse and the keyboard."""

from __future__ import annotations

import csv
import re

import pytest
from browser import ROOT
from PIL import Image
from playwright.sync_api import Page, expect
from resting import resting_box

from roadmap.steps import ROADMAPS

WIDE, NARROW = {"width": 1440, "height": 900}, {"width": 390, "height": 844}
PICTURES = ROOT / "build" / "screenshots"


@pytest.fixture
def open_page(open_path):
    """``open_path``, once the bars stand."""

    def open_page(*arguments, **options) -> Page:
        page = open_path(*arguments, **options)
        expect(page.locator(".js-plotly-plot .bars .point").first).to_be_attached(timeout=30_000)
        return page

    return open_page


def chart(page: Page):
    """The chart that is shown; while another one comes, Streamlit still holds the last, hidden."""
    return page.locator(".js-plotly-plot:visible")


def bars(page: Page):
    return chart(page).locator(".trace.bars").nth(1).locator(".point")


def texts(page: Page):
    return chart(page).locator(".annotation-text, [class*=tick] text")


def click_bar(page: Page, index: int) -> None:
    settle(page)
    box = resting_box(bars(page).nth(index))
    click_at(page, box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)


def settle(page: Page) -> None:
    """Waits until Streamlit has run, and one chart stands."""
    idle = page.locator("[data-test-script-state=notRunning]")
    expect(idle).to_be_attached(timeout=30_000)
    expect(page.locator(".js-plotly-plot")).to_have_count(1, timeout=30_000)


def click_at(page: Page, x: float, y: float) -> None:
    """As a hand does: there first, then down. Plotly looks for what is under it every 50 ms."""
    page.mouse.move(x, y)
    page.wait_for_timeout(300)
    page.mouse.click(x, y)


def expect_step(page: Page, title: str, address: str) -> None:
    expect(page.locator(".step")).to_have_text(title, timeout=30_000)
    expect(page).to_have_url(re.compile(re.escape(address) + "$"), timeout=30_000)
    bold = texts(page).filter(has=page.locator("tspan[style*=bold]"))
    expect(bold.filter(has_text=title).last).to_be_attached(timeout=30_000)


def test_clicking_bars(open_page):
    page = open_page()
    expect(page.locator(".step")).to_have_text("ResNet")
    click_bar(page, 6)
    expect_step(page, "Inverted bottleneck", "?roadmap=resnet50&step=inverted_bottleneck")
    click_bar(page, 10)
    expect_step(page, "Kernel size 9", "?roadmap=resnet50&step=kernel_9")
    click_bar(page, 6)  # back to one that was selected before
    expect_step(page, "Inverted bottleneck", "?roadmap=resnet50&step=inverted_bottleneck")
    click_bar(page, 6)  # the same again: it stays, and the chart still answers
    page.wait_for_timeout(300)
    settle(page)
    expect_step(page, "Inverted bottleneck", "?roadmap=resnet50&step=inverted_bottleneck")
    click_bar(page, 16)
    expect_step(page, "Separate downsampling", "?roadmap=resnet50&step=separate_downsampling")
    expect(page.get_by_role("img", name=re.compile("LayerScale \\(added\\)")).first).to_be_visible()


def test_the_row_beside_a_short_bar_answers_too(open_page):
    page = open_page()
    settle(page)
    box, other = resting_box(bars(page).first), resting_box(bars(page).nth(3))
    click_at(page, box["x"] + box["width"] + 200, other["y"] + other["height"] / 2)
    expect_step(page, "Patchify stem", "?roadmap=resnet50&step=patchify_stem")


def test_taps_on_a_phone(open_page):
    page = open_page("", NARROW, touch=True)
    for index, key, title in (
        (6, "inverted_bottleneck", "Inverted bottleneck"),
        (3, "patchify_stem", "Patchify stem"),
    ):
        settle(page)
        bar = bars(page).nth(index)
        bar.scroll_into_view_if_needed()
        box = resting_box(bar)
        page.touchscreen.tap(box["x"] + 10, box["y"] + box["height"] / 2)
        expect_step(page, title, f"?roadmap=resnet50&step={key}")


def test_a_bare_address_says_what_it_shows_and_back_leaves(open_path):
    page = open_path()
    expect(page).to_have_url(re.compile("roadmap=resnet50&step=baseline$"), timeout=30_000)
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
    click_bar(page, 4)
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
    expect(points.nth(5)).to_be_visible(timeout=30_000)
    settle(page)
    box = resting_box(points.nth(5))
    click_at(page, box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    expect(page.locator(".step")).to_have_text("Increase width", timeout=30_000)
    expect(page).to_have_url(re.compile("(?=.*view=path)(?=.*step=increase_width)"))
    page.get_by_role("radio", name="Both sizes").click()
    expect(chart(page)).to_have_count(2)
    second = chart(page).nth(1)
    box = resting_box(second.locator(".trace.bars").nth(1).locator(".point").nth(3))
    click_at(page, box["x"] + 5, box["y"] + box["height"] / 2)
    expect(page).to_have_url(
        re.compile("(?=.*roadmap=resnet200)(?=.*step=patchify_stem)"), timeout=30_000
    )


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
        assert image.width > 1000
    assert "Kernel size 7" in saved["SVG"].read_text()
    assert "Bar chart of ImageNet-1K top-1" in saved["SVG"].read_text()  # it says what it shows
    for sign in ("▨ tried, not adopted", "├┤ standard deviation of 3 runs"):
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


def test_a_hostile_url_gets_one_message_and_a_working_page(open_page):
    page = open_page("?roadmap=%3Cimg%20src%3Dx%20onerror%3Dalert(1)%3E&step=![x](http://x.test/y)")
    expect(page.locator(".notice")).to_have_count(1)
    expect(page.locator(".notice")).to_contain_text("<img src=x onerror=alert(1)>")
    click_bar(page, 3)
    expect_step(page, "Patchify stem", "?roadmap=resnet50&step=patchify_stem")
    expect(page.locator(".notice")).to_have_count(0)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("viewport", [WIDE, NARROW], ids=["wide", "narrow"])
def test_it_fits_and_can_be_read(open_page, viewport, scheme):
    page = open_page("?roadmap=resnet50&step=separate_downsampling", viewport, scheme)
    expect(page.locator(".stages")).to_be_visible()
    settle(page)
    width = viewport["width"]
    assert page.evaluate("document.querySelector('[data-testid=stMain]').scrollWidth") <= width
    boxes = texts(page).evaluate_all(
        "texts => texts.map(text => [text.textContent, text.getBoundingClientRect()])"
    )
    start = bars(page).first.bounding_box()["x"]
    for text, box in boxes:
        end = box["x"] + box["width"]
        assert box["x"] >= 0, text
        assert box["height"] >= 11, text
        assert end <= (start if box["x"] < start else width), text  # labels end before bars begin
    longest = max(bar.bounding_box()["width"] for bar in bars(page).all()[-3:])
    assert longest > 100
    text, ground = page.evaluate(
        """() => [getComputedStyle(document.querySelector('.annotation-text')).fill,
                  getComputedStyle(document.querySelector('.stApp')).backgroundColor]"""
    )
    assert lightness(ground) > 0.9 if scheme == "light" else lightness(ground) < 0.15
    assert abs(lightness(text) - lightness(ground)) > 0.7
    PICTURES.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=PICTURES / f"roadmap-{width}-{scheme}.png")


def lightness(color: str) -> float:
    red, green, blue = (int(value) for value in re.findall(r"\d+", color)[:3])
    return (red + green + blue) / 3 / 255
