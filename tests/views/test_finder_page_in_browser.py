"""The page Finder as a person uses it, in headless Chromium, with three small networks."""

from __future__ import annotations

import csv
import re
from pathlib import Path

import pytest
from browser import ROOT, served
from browser_pages import at_rest, expect_to_fit, settled, themed
from finder_rows import row
from playwright.sync_api import Page, expect

from roadmap.find import store

FIRST = ROOT / "tests" / "support" / "finder_server.py"
POINTS = ".js-plotly-plot .scatterlayer .trace path.point"
NARROW = {"width": 390, "height": 844}


@pytest.fixture(scope="module")
def finder(tmp_path_factory):
    """The address of an explorer with an empty table, and the table's path."""
    folder = tmp_path_factory.mktemp("finder")
    environment = {store.VARIABLE: str(folder), "OMP_NUM_THREADS": "1"}
    with served(ROOT / "app.py", environment, first=FIRST) as url:
        yield url, folder / "finder.csv"


@pytest.fixture(scope="module")
def address(finder):
    return finder[0]


@pytest.fixture
def opened(open_path):
    """A page of a new visitor that asks for at least 70% on this CPU."""
    page = open_path("finder?device=cpu&top1=70")
    settled(page)
    return page


def test_the_server_is_the_app_itself(opened, finder):
    assert opened.goto(f"{finder[0]}/finder/nowhere").status == 404  # the app's own answer


def test_an_engineer_asks_measures_stops_continues_and_takes_the_answer(opened, finder):
    page, (_, table) = opened, finder
    expect(page.get_by_text("3 networks to measure: about")).to_be_visible()
    page.get_by_role("button", name="Measure", exact=True).click()
    expect(page.locator(POINTS).first).to_be_attached()  # points land
    expect(page.locator(".found .step")).to_have_text(re.compile("test_"))
    page.get_by_role("button", name="Stop", exact=True).click()
    page.get_by_role("button", name="Continue", exact=True).click()
    expect(
        page.get_by_text(re.compile("All measured;|All 3 candidates are measured"))
    ).to_be_visible()
    with table.open(newline="") as file:
        rows = [each for each in csv.DictReader(file) if each["device"] == "cpu"]
    assert len(rows) == 3
    winner = max(rows, key=lambda each: float(each["images_per_s"]))["name"]
    expect(page.locator(".found .step")).to_have_text(f"{winner} at 160 px")
    expect(page.locator(".found .why")).to_contain_text("is the fastest of the 3 measured networks")
    line = page.locator(".stCode").first
    expect(line).to_contain_text(f'timm.create_model("{winner}.r160_in1k", pretrained=True)')
    page.get_by_role("button", name="Create ONNX").click()
    save = page.get_by_role("button", name=f"Save {winner}-160.onnx")
    expect(save).to_be_visible()
    with page.expect_download() as download:
        save.click()
    assert Path(download.value.path()).stat().st_size > 100_000


def test_results_go_to_a_file_and_hostile_files_are_one_sentence(
    opened, finder, tmp_path, monkeypatch
):
    page, (url, table) = opened, finder
    monkeypatch.setenv(store.VARIABLE, str(table.parent))
    gpu = {"device": "cuda", "device_name": "Test GPU", "dtype": "bf16"}
    shared_row = store.add(row("test_vit", 100, image_size=160, **gpu))
    page.goto(f"{url}/finder?device=Test+GPU&top1=70")
    settled(page)
    expect(page.locator(".found .step")).to_have_text("test_vit at 160 px")
    page.locator("summary", has_text="shared results").click()
    with page.expect_download() as download:
        page.get_by_role("button", name="Save 1 measurement of Test GPU").click()
    content = Path(download.value.path()).read_text()
    assert list(csv.DictReader(content.splitlines())) == [shared_row]
    hostile = tmp_path / "hostile.csv"
    hostile.write_text("<script>alert(1)</script>\n")
    page.locator("input[type=file]").set_input_files(hostile)
    notice = page.get_by_text("hostile.csv is not a results file of the finder")
    expect(notice).to_be_visible()


def test_it_is_used_with_the_keyboard(opened):
    page = opened
    top1 = page.get_by_label("Minimum top-1, percent")
    top1.fill("72.5")
    top1.press("Enter")
    expect(page).to_have_url(re.compile("top1=72.5"))
    batch = page.get_by_role("combobox", name="Batch size")
    batch.focus()
    batch.press("ArrowDown")
    batch.press("Enter")
    expect(page).to_have_url(re.compile("batch="))
    expect(page.get_by_role("button", name="Measure", exact=True)).to_be_enabled()


def test_it_fits_a_phone_and_axe_finds_nothing_serious(opened: Page):
    opened.set_viewport_size(NARROW)
    for scheme in ("light", "dark"):
        themed(opened, scheme)
        expect_to_fit(opened)
        assert at_rest(opened) == []
