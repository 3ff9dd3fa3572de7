"""The page of ablations as a person uses it, in headless Chromium: reading, training, stopping."""

from __future__ import annotations

import csv
import re
import subprocess
import sys
import time

import pytest
from browser import ROOT, served
from browser_pages import expect_to_fit, idle, themed
from ended_tasks import ended_tasks
from fake_runs import write_ablation, write_run
from playwright.sync_api import Page, expect

from roadmap.runs.folders import RUNS_VARIABLE
from roadmap.steps import ROADMAPS
from roadmap.sweep import background

WIDE, NARROW = {"width": 1440, "height": 900}, {"width": 390, "height": 844}
SCORES = {
    "baseline": (69.0, 69.4, 68.8),
    "training": (72.02, 72.4, 71.81),
    "stage_ratio": (72.0, 72.6, 71.9),
}


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    root = tmp_path_factory.mktemp("runs")
    write_ablation(root, SCORES)
    (root / "tiny" / "broken").mkdir()
    with ended_tasks(root):
        yield root


@pytest.fixture(scope="module")
def address(root):
    """The app with runs of its own."""
    with served(ROOT / "app.py", {RUNS_VARIABLE: str(root)}) as url:
        yield url


def settle(page: Page, charts: int = 2) -> None:
    idle(page)
    expect(page.locator(".js-plotly-plot")).to_have_count(charts, timeout=30_000)


def curves(page: Page, part: str):
    """Parts of the chart that is shown: the one before it may still be in the page, hidden."""
    return page.locator(".st-key-figure-curves .js-plotly-plot:visible").locator(part)


def axis(page: Page):
    return curves(page, ".ytitle")


def test_reading_curves_and_taking_the_table_along(open_path):
    page = open_path("ablations")
    settle(page)
    expect(page.locator(".finding")).to_contain_text("1 is a gain")
    page.locator("summary", has_text="Figures of every step").click()
    expect(page.locator(".verdicts tbody tr")).to_have_count(3)
    page.get_by_role("radio", name="Learning rate").click()
    expect(axis(page)).to_have_text("Learning rate", timeout=15_000)
    page.get_by_role("radio", name="By seed").click()
    expect(
        page.locator(".st-key-figure-curves .js-plotly-plot:visible .scatterlayer .trace")
    ).to_have_count(9, timeout=15_000)
    expect(page).to_have_url(re.compile("curve=lr.*lines=seeds"))
    page.reload()
    settle(page)
    expect(axis(page)).to_have_text("Learning rate", timeout=15_000)
    page.locator("summary", has_text="runs").click()
    settle(page)  # a table that is drawn again has another file
    with page.expect_download() as started:
        page.locator(".st-key-downloads-runs button").click()
    with started.value.path().open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 9
    assert {row["status"] for row in rows} == {"finished"}


def test_training_a_pocket_run_closing_the_page_and_stopping_it(open_path, root):
    page = open_path("training")
    settle(page, charts=0)
    page.get_by_role("radio", name="Every step").click()
    page.get_by_role("spinbutton", name="Epochs").fill("60")  # not over before it is stopped
    page.get_by_role("spinbutton", name="Epochs").press("Enter")
    expect(page.locator(".st-key-ablations-go")).to_be_visible()
    runs = 3 * len(ROADMAPS["resnet50"].steps)
    planned = page.get_by_text(f"{runs} runs on the digits data set, separate from runs of other")
    expect(planned).to_be_visible(timeout=15_000)
    page.get_by_role("button", name="Start").click()
    expect(page.get_by_role("button", name="Stop")).to_be_visible(timeout=15_000)
    page.close()
    page = open_path("training")
    running = page.get_by_role("status").filter(has_text="seed 0, epoch ")
    expect(running).to_be_visible(timeout=240_000)
    page.get_by_role("button", name="Stop").click()
    expect(page.locator(".last")).to_contain_text("Stopped", timeout=180_000)
    assert not background.is_running(root)
    assert any((root / "digits-60-epochs").glob("*/run.json"))


def test_runs_in_progress_update_and_the_reader_keeps_the_place(open_path, root):
    folder = write_run(root, "patchify_stem", 0, 65.0, epochs=3, done=1)
    page = open_path("training", {"width": 1440, "height": 320})  # so that it scrolls
    settle(page, charts=0)
    # Nobody holds its lock: to the page it is stopped until one does.
    main = page.locator("[data-testid=stMain]")
    expect(page.locator(".st-key-ablations-go")).to_be_attached()
    before = main.evaluate("main => { main.scrollTop = 100; return main.scrollTop; }")
    assert before > 0
    lock = _locked(folder)
    try:
        table = page.get_by_role("table").filter(has_text="Seconds per epoch")
        expect(table).to_contain_text("1 of 3", timeout=20_000)
        with (folder / "metrics.csv").open("a") as file:
            row = (folder / "metrics.csv").read_text().splitlines()[1]
            file.write("2" + row[row.index(",") :] + "\n")
        expect(table).to_contain_text("2 of 3", timeout=20_000)
        time.sleep(1)
        assert abs(main.evaluate("main => main.scrollTop") - before) < 5
    finally:
        lock.kill()
        lock.wait()


def _locked(folder):
    """A process that trains in ``folder``, as far as its lock tells."""
    code = (
        "import sys, time; from pathlib import Path\n"
        "from roadmap.runs.lock import FolderLock\n"
        "with FolderLock(Path(sys.argv[1])): time.sleep(120)"
    )
    return subprocess.Popen([sys.executable, "-c", code, str(folder)], cwd=ROOT)


def test_it_fits(open_path):
    page = open_path("ablations?data=tiny", WIDE, "dark")
    settle(page)
    expect_to_fit(page)
    page.set_viewport_size(NARROW)
    themed(page, "light")
    settle(page)
    expect_to_fit(page)
