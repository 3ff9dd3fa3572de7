"""The operations as a person touches them, by pointer and by keyboard, in headless Chromium."""

from __future__ import annotations

import re
from itertools import product

import pytest
import torch
from browser_pages import expect_to_fit, themed
from playwright.sync_api import Locator, Page, expect
from torch.nn import functional as F

from roadmap.measure.complexity import count
from roadmap.steps import ROADMAPS
from roadmap.views.operations import data, tab

RESNET50 = ROADMAPS["resnet50"]
WIDE, NARROW = {"width": 1440, "height": 900}, {"width": 390, "height": 844}
#: A step for each operation.
STEPS = {
    data.SHOWN_BY[field]: key
    for key in RESNET50.keys
    for field in RESNET50.step(key).config_changes
    if field in data.SHOWN_BY
}
SMALLEST = """operation => {
  const sizes = [...operation.querySelectorAll("*")]
    .filter((each) => [...each.childNodes].some((c) => c.nodeType === 3 && c.data.trim()))
    .map((each) => {
      const drawn = each.ownerSVGElement;
      const scale = drawn ? drawn.getBoundingClientRect().width / drawn.viewBox.baseVal.width : 1;
      return scale * parseFloat(getComputedStyle(each).fontSize);
    });
  return Math.min(...sizes);
}"""


def opened(open_path, name: str, *how) -> Page:
    page = open_path(f"inside?step={STEPS[name]}&tab=operation", *how)
    expect(page.locator(".operation .figures")).to_be_visible()
    return page


def figure(page: Page, name: str) -> Locator:
    return page.locator(f'[data-figure="{name}"]')


def test_the_sums_under_the_window_are_torchs(open_path):
    page = opened(open_path, "convolution")
    shown = data.convolution(*tab._networks(RESNET50, STEPS["convolution"]))
    toy = torch.tensor(shown["input"], dtype=torch.float)[None]
    weights = torch.tensor(shown["weights"], dtype=torch.float)
    mix = torch.tensor(shown["mix"], dtype=torch.float)
    page.get_by_role("checkbox", name="Add the 1×1 layer").check()
    window = page.get_by_role("slider", name="Window")
    for (place, kind), at in product(enumerate(shown["kinds"]), (0, 6, 15)):
        page.locator(".operation label", has_text=kind["name"]).click()
        page.get_by_role("radio", name=str(place + 2), exact=True).check(force=True)
        window.fill(str(at))
        per = 4 // kind["groups"]
        kernels = torch.stack([w[o // per * per :][:per] for o, w in enumerate(weights)])
        out = F.conv2d(toy, kernels, groups=kind["groups"])[0]
        expected = out.flatten(1)[:, at]
        number = f"{int(expected[place + 1])}".replace("-", "−")
        expect(figure(page, "value")).to_have_text(number)
        mixed = f"{int(mix[place + 1] @ expected)}".replace("-", "−")
        expect(figure(page, "mixed")).to_have_text(mixed)
        expect(figure(page, "wires")).to_have_text(str(4 * per))
        expect(figure(page, "macs")).to_have_text(str(kind["macs"] + shown["mix_macs"]))


def test_the_handle_and_the_arrow_keys_change_the_block(open_path):
    page = opened(open_path, "bottleneck")
    expect(figure(page, "ratio")).to_have_text("1/4")
    slider = page.get_by_role("slider")
    slider.press("End")
    expect(figure(page, "ratio")).to_have_text("4")
    slider.press("ArrowLeft")
    expect(figure(page, "ratio")).to_have_text("8/3")
    page.locator(".grip").scroll_into_view_if_needed()
    box = page.locator(".grip").bounding_box()
    page.mouse.move(box["x"] + 15, box["y"] + 15)
    page.mouse.down()
    page.mouse.move(box["x"] - 600, box["y"] + 15, steps=5)
    page.mouse.up()
    expect(figure(page, "ratio")).to_have_text("1/4")
    expect(slider).to_have_attribute("aria-valuetext", re.compile("384 → 96 → 384"))


def test_values_averaged_together_give_the_mean_and_variance_of_torch(open_path):
    page = opened(open_path, "norm")
    shown = data.norm(*tab._networks(RESNET50, STEPS["norm"]))
    values = torch.tensor(shown["values"], dtype=torch.float)
    page.locator(".operation label", has_text="Batch norm").click()
    for n, c, p in ((0, 1, 4), (0, 1, 5), (1, 1, 2)):  # the second by one press to the right
        group = page.get_by_role(
            "button", name=f"Image {n + 1}, channel {c + 1}, position {p + 1}:"
        )
        if (n, p) == (0, 5):
            page.keyboard.press("ArrowRight")
            expect(group).to_be_focused()
        else:
            group.click()
        held = values[:, c]
        expect(figure(page, "count")).to_have_text(str(held.numel()))
        expect(figure(page, "mean")).to_have_text(f"{held.mean():.2f}")
        expect(figure(page, "variance")).to_have_text(f"{held.var(correction=0):.2f}")
    page.locator(".operation label", has_text="Layer norm").click()
    expect(figure(page, "mean")).to_have_text(f"{values[1, :, 0, 2].mean():.2f}")
    page.locator(".operation label", has_text="Your own choice").click()
    expect(figure(page, "mean")).to_have_text("–")
    page.locator(".value.chosen").press(" ")
    expect(figure(page, "count")).to_have_text("1")


def test_moved_blocks_change_the_cost_of_the_network(open_path):
    page = opened(open_path, "stages")
    page.get_by_role("button", name="Move a block from stage 3 to stage 2").press("Enter")
    page.get_by_role("button", name="Add a block to stage 1").press("Enter")
    expect(figure(page, "ratio")).to_have_text("4, 4, 8, 3")
    changed = RESNET50.config(STEPS["stages"], depths=(4, 4, 8, 3))
    expect(figure(page, "macs")).to_have_text(f"{count(changed).macs / 1e9:.2f} GFLOPs")
    expect(figure(page, "params")).to_have_text(f"{count(changed).parameters / 1e6:.1f} M")
    expect(page.get_by_role("button", name="Add a block to stage 1")).to_be_focused()


@pytest.mark.parametrize("name", ["convolution", "norm"])
def test_the_drawing_starts_on_the_first_screen(open_path, name):
    page = opened(open_path, name)
    page.set_viewport_size(WIDE)
    box = page.locator(".operation svg").first.bounding_box()
    assert box["y"] < 0.8 * WIDE["height"]


def test_a_step_without_an_operation_leads_to_those_that_have_one(open_path):
    page = open_path("inside?step=training&tab=operation")
    term = page.locator(".operations .term").first  # part of its sentence, not on its own line
    expect(term).to_have_css("display", "inline")
    page.get_by_role("link", name="Kernel size").click()
    expect(page).to_have_url(re.compile("step=move_up_depthwise"))
    expect(page.get_by_role("slider", name="Kernel size")).to_be_visible()
    page.get_by_role("slider", name="Kernel size").press("End")
    expect(figure(page, "weights")).to_have_text("11² = 121")


@pytest.mark.parametrize("name", data.OPERATIONS)
def test_every_operation_fits_and_has_text_of_at_least_14_pixels(open_path, name):
    page = opened(open_path, name)
    for viewport, scheme in ((WIDE, "dark"), (NARROW, "light")):
        page.set_viewport_size(viewport)
        themed(page, scheme)
        expect_to_fit(page)
        assert page.locator(".operation").evaluate(SMALLEST) >= 13.5  # a drawing may shrink by 4%
