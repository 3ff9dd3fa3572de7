"""The builder as a person uses it: controls, refusals, files that run, shared addresses."""

from __future__ import annotations

import itertools
import re
import runpy
import zipfile

import pytest
from browser import ROOT
from browser_pages import at_rest, expect_to_fit, idle, themed
from playwright.sync_api import Page, expect

from models import VARIANTS, ModelConfig
from models.files import read_weights
from models.source import network_source
from roadmap.measure.complexity import count

WIDE, NARROW = {"width": 1440, "height": 900}, {"width": 390, "height": 844}
PICTURES = ROOT / "build" / "screenshots"
LONG = 240_000  # milliseconds, for a measurement on a busy machine
SMALL = "builder?a=resnet50.kernel_7~depths.1-1~width.8&image=64"


@pytest.fixture
def open_page(open_path):
    """``open_path``, once costs and chart stand."""

    def open_page(*arguments, **options) -> Page:
        page = open_path(*arguments, **options)
        expect(page.locator(".js-plotly-plot .point").first).to_be_attached()
        idle(page)
        return page

    return open_page


def cost(page: Page, name: str):
    """The value of one of the costs."""
    return page.locator(".st-key-builder-answer .strip-figures > li", has_text=name).locator(".now")


def part(page: Page, name: str, drawing: str = "The network"):
    """The first part in a drawing whose name for screen readers starts with ``name``."""
    bar = page.get_by_role("toolbar", name=re.compile(f"^Parts of: {drawing}"))
    return bar.get_by_role("button", name=re.compile(f"^{name}")).first


def set_number(page: Page, name: str, value: int) -> None:
    box = page.get_by_role("spinbutton", name=name, exact=True)
    box.fill(str(value))
    box.press("Enter")


def saved(page: Page, button: str):
    with page.expect_download() as started:
        page.get_by_role("button", name=button).click()
    return started.value


def test_a_change_is_counted_refused_undone_and_shared(open_page):
    page = open_page("builder?a=variant.convnext_tiny")
    expect(cost(page, "Parameters")).to_have_text("28.6")
    part(page, "7 by 7 depthwise", "Stage 1").click()
    set_number(page, "Kernel size", 5)
    config = VARIANTS["convnext_tiny"].replace(kernel_size=5)
    expect(cost(page, "Parameters")).to_have_text(f"{count(config).parameters / 1e6:.1f}")
    expect(page).to_have_url(
        re.compile(r"\?a=variant\.convnext_tiny~kernel_size\.5&part=stage1\.spatial$")
    )
    set_number(page, "Kernel size", 6)
    expect(page.locator(".refusal")).to_contain_text("use 5 or 7")
    expect(page).to_have_url(re.compile(r"kernel_size\.5&"))
    page.get_by_role("button", name="Discard").click()
    expect(page.locator(".refusal")).to_have_count(0)
    expect(page.get_by_role("spinbutton", name="Kernel size")).to_have_value("5")
    part(page, "layer norm", "Stage 1").click()
    page.get_by_role("radio", name="Batch norm").click()
    expect(page).to_have_url(re.compile(r"kernel_size\.5~norm\.batch&part=stage1\.norm$"))
    page.go_back()
    expect(page.get_by_role("radio", name="Layer norm")).to_be_checked()
    page.go_back()
    other = open_page(page.url.split("/", 3)[-1])
    expect(other.get_by_role("spinbutton", name="Kernel size")).to_have_value("5")
    assert cost(other, "Parameters").inner_text() == cost(page, "Parameters").inner_text()


def test_the_files_are_of_the_network_shown(open_page, tmp_path):
    page = open_page(SMALL)
    source = tmp_path / "network.py"
    saved(page, "Python file").save_as(source)
    given = saved(page, "Config, JSON")
    given.save_as(tmp_path / "config.json")
    stem = given.suggested_filename.removesuffix(".json")
    assert stem.endswith("-width-8")
    config = ModelConfig.from_json((tmp_path / "config.json").read_text())
    assert (config.depths, config.width, config.kernel_size) == ((1, 1), 8, 7)
    assert source.read_text() == network_source(config)
    runpy.run_path(str(source), run_name="__main__")
    set_number(page, "Seed", 5)
    idle(page)
    page.get_by_text("Create one file").click()
    page.get_by_role("button", name="Create weights").click()
    save = f"Save {stem}.safetensors"
    expect(page.get_by_role("button", name=save)).to_be_visible()
    saved(page, save).save_as(tmp_path / "network.safetensors")
    _, of, facts = read_weights(tmp_path / "network.safetensors")
    assert (of, facts) == (config, {"seed": 5})


def test_all_files_are_created_one_after_the_other_and_saved_as_a_zip(open_page, tmp_path):
    page = open_page(SMALL)
    page.get_by_role("button", name="Create all files").click()
    expect(page.get_by_text(re.compile(r"^\d+%: creating"))).to_be_visible()
    save = page.get_by_role("button", name="Save all as")
    expect(save).to_be_visible(timeout=LONG)
    whole = saved(page, "Save all as")
    whole.save_as(tmp_path / "all.zip")
    stem = whole.suggested_filename.removesuffix(".zip")
    forms = ("py", "json", "safetensors", "onnx", "pt2")
    with zipfile.ZipFile(tmp_path / "all.zip") as together:
        assert together.namelist() == [f"{stem}.{form}" for form in forms]
        together.extractall(tmp_path)
    config = ModelConfig.from_json((tmp_path / f"{stem}.json").read_text())
    assert read_weights(tmp_path / f"{stem}.safetensors")[1] == config
    runpy.run_path(str(tmp_path / f"{stem}.py"), run_name="__main__")


DOING = re.compile("^Measuring Kernel size 7, depths")


def test_measuring_can_be_canceled_and_comes_to_an_end(open_page):
    page = open_page(SMALL)
    set_number(page, "Width", 1024)
    expect(page).to_have_url(re.compile(r"width\.1024"))
    set_number(page, "Batch size", 64)  # for a minute, so that it can be canceled
    page.get_by_role("button", name="Measure", exact=True).click()
    page.get_by_role("button", name="Cancel").click()
    expect(page.get_by_text("Canceled.")).to_be_visible()
    page.go_back()
    expect(page.get_by_role("spinbutton", name="Width", exact=True)).to_have_value("8")
    set_number(page, "Batch size", 8)
    page.get_by_role("button", name="Measure", exact=True).click()
    row = page.locator("table.recipe tr").filter(has_text="inference")
    expect(row).to_contain_text("Kernel size 7, depths 1, 1, width 8", timeout=LONG)
    expect(row.locator("td").nth(2)).to_have_text("8")


def test_training_times_of_a_and_b_are_measured_in_turn(open_page):
    page = open_page(f"{SMALL}&b=resnet50.kernel_7~depths.1-1~width.64")
    said = page.get_by_text(re.compile("^B compared with A"))
    expect(said).not_to_contain_text("training time")
    page.get_by_role("button", name="Measure training time of A and B").click()
    expect(said).to_contain_text(  # on a busy machine the times may not differ for sure
        re.compile(r"(times|about the same) ?(the)? training time on this [CG]PU"), timeout=LONG
    )
    expect(page.get_by_text(re.compile(r"^Training time: median of \d+ rounds"))).to_be_visible()
    expect(page.get_by_role("button", name="Measure again")).to_be_enabled()


def test_a_measurement_ends_soon_after_its_tab_is_closed(open_page):
    page = open_page(f"{SMALL.replace('1-1', '3-3').replace('width.8', 'width.1024')}")
    set_number(page, "Batch size", 64)  # for minutes
    page.get_by_role("button", name="Measure", exact=True).click()
    expect(page.get_by_text(DOING)).to_be_visible()
    page.close()
    page = open_page(SMALL)
    page.get_by_role("button", name="Measure", exact=True).click()
    row = page.locator("table.recipe tr").filter(has_text="inference")
    # Its turn comes after ``queue.GONE``, or, were it not for that, after ``queue.ABANDONED``.
    expect(page.get_by_text(DOING).or_(row)).to_be_visible(timeout=60_000)
    expect(row).to_contain_text("width 8", timeout=LONG)


def test_two_configs_side_by_side(open_page):
    page = open_page("builder?a=resnet50.kernel_7")
    page.get_by_role("radio", name="B", exact=True).click()
    expect(page.get_by_text("A and B are the same network.")).to_be_visible()
    set_number(page, "Width", 128)
    changed = page.locator(".compared tr.changed")
    expect(changed.filter(has_text="Width")).to_contain_text("128")
    expect(page).to_have_url(re.compile(r"b=resnet50\.kernel_7~width\.128&edit=b$"))


def test_a_hostile_url_gets_one_message_and_a_working_page(open_page):
    page = open_page("builder?a=%3Cimg%20src%3Dx%20onerror%3Dalert(1)%3E&image=9e99")
    expect(page.locator(".notice")).to_have_count(1)
    expect(page.locator(".notice")).to_contain_text("<img src=x onerror=alert(1)>")
    set_number(page, "Width", 32)
    expect(page.locator(".notice")).to_have_count(0)
    expect(page).to_have_url(re.compile(r"\?a=resnet50\.baseline~width\.32$"))


def test_the_step_selected_elsewhere_is_the_start_without_another_entry_in_history(open_path):
    page = open_path("?roadmap=resnet50&step=gelu")
    page.get_by_role("link", name="Builder").click()
    expect(page).to_have_url(re.compile(r"builder\?a=resnet50\.gelu$"))
    idle(page)
    page.go_back()
    expect(page.locator(".step")).to_have_text("ReLU to GELU")


def test_it_fits(open_page):
    page = open_page("builder?a=resnet50.inverted_bottleneck~width.128&b=variant.convnext_small")
    PICTURES.mkdir(parents=True, exist_ok=True)
    for viewport, scheme in itertools.product((WIDE, NARROW), ("light", "dark")):
        page.set_viewport_size(viewport)
        themed(page, scheme)
        expect_to_fit(page)
        start = page.locator("h1").bounding_box()["y"]
        assert start >= page.locator("[data-testid=stHeader]").bounding_box()["height"]
        page.screenshot(path=PICTURES / f"builder-{viewport['width']}-{scheme}.png")


def test_a_phone_shows_the_top1_of_the_nearest_networks_beside_their_names(open_page):
    page = open_page("builder?a=resnet50.inverted_bottleneck~width.128", NARROW)
    table = page.locator(".nearest")
    heads = table.get_by_role("columnheader").all_inner_texts()
    assert heads[:2] == ["Network", "Top-1, %"]
    scores = table.locator("tbody td.n").all()
    assert scores
    for score in scores:
        box = score.bounding_box()
        assert box["x"] + box["width"] <= NARROW["width"]
        assert score.evaluate("cell => cell.cellIndex") == 1


CUT_OFF = """() => [...document.querySelectorAll(
    '[data-testid=stColumn] [data-testid=stButtonGroup]')].flatMap(group => {
    const right = group.closest('[data-testid=stColumn]').getBoundingClientRect().right;
    return [...group.querySelectorAll('button')]
      .filter(button => button.getBoundingClientRect().right > right + 1)
      .map(button => button.textContent);
  })"""


def test_all_choices_of_a_control_are_visible_on_a_laptop(open_page):
    page = open_page("builder?part=stage1.input", {"width": 1280, "height": 800})
    expect(page.get_by_role("radio", name="PyTorch's default")).to_be_visible()
    assert page.evaluate(CUT_OFF) == []


#: What is in the tab order of the first screen, with the drawings, which are in a shadow root.
SHOWN = """() => {
  const within = (root) => [...root.querySelectorAll('*')].flatMap((each) =>
    each.shadowRoot ? within(each.shadowRoot) : [each]);
  return within(document.querySelector('[data-testid=stMain]'))
    .filter((each) => each.matches('button, input, select, a[href], [tabindex="0"]'))
    .filter((each) => each.tabIndex >= 0 && each.checkVisibility({ visibilityProperty: true }))
    .filter((each) => each.getBoundingClientRect().top < innerHeight)
    .map((each) => each.ariaLabel || each.textContent || each.outerHTML.slice(0, 80));
}"""


def test_few_controls_are_visible_at_first_and_the_rest_unfolds(open_page):
    page = open_page("builder?a=variant.convnext_tiny")
    shown = page.evaluate(SHOWN)
    assert 10 < len(shown) < 20, shown
    expect(page.get_by_role("spinbutton", name="Input channels")).to_be_hidden()
    part(page, "Input").click()
    expect(page.get_by_role("spinbutton", name="Input channels")).to_be_visible()
    expect(page.get_by_role("spinbutton", name="Image, pixels")).to_have_value("224")


def test_the_drawing_is_used_by_mouse(open_page):
    page = open_page("builder?a=resnet50.gelu")
    for name, control in (("Stem", "Patchify"), ("Into stage 2", "In the block")):
        part(page, name).click()
        expect(page.get_by_role("radio", name=control)).to_be_visible()
        expect(part(page, name)).to_have_attribute("aria-pressed", "true")
    part(page, "Stage 3").click()
    expect(page.get_by_role("heading", name="Stage 3", exact=True)).to_be_visible()
    page.get_by_role("textbox", name="Depths").fill("3, 3, 27, 3")
    page.get_by_role("textbox", name="Depths").press("Enter")
    expect(page).to_have_url(re.compile(r"depths\.3-3-27-3&part=stage3$"))
    part(page, "Head").click()
    set_number(page, "Classes", 10)
    expect(page).to_have_url(re.compile(r"num_classes\.10&part=stage3\.head$"))


def test_the_drawing_is_used_by_keyboard(open_page):
    page = open_page("builder?a=variant.convnext_tiny")
    part(page, "Stage 1").focus()
    page.keyboard.press("ArrowDown")
    expect(part(page, "Into stage 2")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.get_by_role("radio", name="Separate")).to_be_checked()
    expect(part(page, "Into stage 2")).to_be_focused()  # the drawing was replaced
    idle(page)
    page.keyboard.press("Home")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Space")
    expect(page.get_by_role("radio", name="Patchify")).to_be_checked()
    expect(part(page, "4 by 4 convolution", "Stem")).to_be_visible()
    idle(page)  # or the part that Tab reaches would be replaced
    page.keyboard.press("Tab")  # the other drawing, in which one part is in the tab order
    expect(part(page, "4 by 4 convolution", "Stem")).to_be_focused()
    page.keyboard.press("Tab")
    expect(page.get_by_role("combobox", name=re.compile("Controls of"))).to_be_focused()


def test_in_a_narrow_window_the_controls_come_into_view(open_page):
    page = open_page("builder?a=variant.convnext_tiny", NARROW)
    part(page, "Stem").click()
    expect(page.get_by_role("radio", name="Patchify")).to_be_in_viewport()


def test_the_drawing_is_accessible(open_page):
    page = open_page("builder?a=resnet50.gelu&b=variant.convnext_tiny&part=stage2.norm")
    assert at_rest(page) == []
    themed(page, "dark")
    assert at_rest(page) == []


def test_a_row_of_controls_aligns_and_the_bar_names_its_figures(open_page):
    page = open_page(SMALL, NARROW)
    bar = page.locator(".summary-bar")
    expect(bar).to_have_text(re.compile(r"^[\d.]+ M parameters .*[\d.]+ GFLOPs .*$"))
    page.set_viewport_size(WIDE)
    idle(page)
    labels = page.locator(".st-key-builder-head [data-testid=stWidgetLabel]:visible").all()
    assert len({round(label.bounding_box()["y"]) for label in labels[:4]}) == 1
