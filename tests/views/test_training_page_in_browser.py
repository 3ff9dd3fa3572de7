"""The page of training as a person uses it, in headless Chromium, with real training processes."""

from __future__ import annotations

import os
import re
import shutil
import signal

import pytest
from browser import ROOT, served
from browser_pages import COLORS, at_rest, expect_to_fit, idle, themed
from contrast import faint_at_rest
from ended_tasks import ended_tasks
from fake_runs import write_run
from playwright.sync_api import Page, expect

from roadmap.runs import read_runs
from roadmap.runs.folders import RUNS_VARIABLE
from roadmap.runs.lock import LOCK
from roadmap.sweep import background

FIRST = ROOT / "tests" / "support" / "training_server.py"
NARROW, FULL, LOW = (
    {"width": 390, "height": 844},
    {"width": 1920, "height": 1080},
    {"width": 1440, "height": 420},  # so that it scrolls
)
EPOCHS = 200
FOLDER = f"digits-{EPOCHS}-epochs"
#: Counts the charts that are seen, in every frame.
WATCH_CHARTS = """() => {
  window.fewest = Infinity;
  const count = () => {
    const charts = [...document.querySelectorAll('.live .plot')];
    const seen = charts.filter((chart) => chart.checkVisibility({ visibilityProperty: true })
      && chart.querySelector('polyline'));
    window.fewest = Math.min(window.fewest, seen.length);
    requestAnimationFrame(count);
  };
  count();
}"""
LONG = 120_000  # milliseconds, for a process that starts or stops on a busy machine


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    root = tmp_path_factory.mktemp("runs")
    with ended_tasks(root):
        yield root


@pytest.fixture(scope="module")
def address(root):
    """The app with runs of its own."""
    with served(ROOT / "app.py", {RUNS_VARIABLE: str(root)}, first=FIRST) as url:
        yield url


def card(page: Page):
    return page.locator("[class*=st-key-run-digits]").filter(has=page.locator(".run-head")).first


def figure(page: Page, name: str):
    return card(page).locator(".run-figures div", has_text=name).locator("dd")


def epoch_of(page: Page) -> int:
    return int(figure(page, "Epoch").inner_text().split()[0])


def charts(page: Page):
    return page.locator(".live .plot")


def run_of(root):
    (run,) = (run for run in read_runs(root).runs if run.path.parent.name == FOLDER)
    return run


def test_the_server_is_the_app_itself(open_path, address):
    assert open_path("training").goto(f"{address}/training/nowhere").status == 404


def test_a_run_is_started_watched_stopped_resumed_and_killed(open_path, root):
    page = open_path("training?kind=run", LOW)
    idle(page)
    page.get_by_role("combobox", name="Data").click()
    page.get_by_role("option", name="Digits").click()
    expect(page.get_by_text("Digits cannot rank the steps")).to_be_visible()
    page.get_by_role("spinbutton", name="Epochs").fill(str(EPOCHS))
    page.get_by_text("Start", exact=True).click()  # without Enter, as people do
    expect(page.get_by_role("button", name="Stop")).to_be_visible()
    page.close()  # training goes on

    page = open_path("training", LOW)
    expect(figure(page, "Epoch")).to_have_text(re.compile(rf"^\d+ of {EPOCHS}$"), timeout=LONG)
    expect(figure(page, "Time left")).to_have_text(re.compile(r"\d+ (s|min)"), timeout=LONG)
    expect(charts(page)).to_have_count(2, timeout=LONG)
    charts(page).first.locator(".tip").last.hover()
    expect(charts(page).first.locator(".tip span:visible")).to_contain_text("Seed 0: ")
    _keeps_the_place_of_the_reader(page)

    page.get_by_role("button", name="Stop").click()
    expect(card(page).locator(".run-state")).to_have_text("Stopped and saved", timeout=LONG)
    expect(page.get_by_role("button", name="Resume")).to_be_visible(timeout=LONG)
    assert not background.is_running(root)
    stopped = run_of(root)
    assert stopped.status == "interrupted"
    assert list((stopped.path / "checkpoints").glob("*.safetensors"))

    page.get_by_role("button", name="Resume").click()
    expect(card(page).locator(".run-state")).to_have_text("Training", timeout=LONG)
    expect(page.get_by_role("button", name="Stop")).to_be_visible()
    page.wait_for_function(
        "before => parseInt(document.querySelector('.run-figures dd').textContent) > before",
        arg=stopped.epochs + 1,
        timeout=LONG,
    )
    log = (stopped.path / "train.log").read_text()
    assert re.search(r"resuming after step [1-9]", log)

    os.kill(background.read_task(root).pid, signal.SIGKILL)
    killed = page.get_by_role("status").filter(
        has_text="Its process was killed at ResNet-50 (baseline), seed 0"
    )
    expect(killed).to_be_visible(timeout=LONG)
    expect(page.get_by_role("button", name="Resume")).to_be_visible()
    expect(page.get_by_role("button", name="Start")).to_be_visible()


def _keeps_the_place_of_the_reader(page: Page) -> None:
    """Scrolled, with the log open and focused, across three updates of the figures."""
    card(page).locator("summary", has_text="Log").click()
    log = card(page).locator("pre.log")
    expect(log).to_contain_text("epoch 1/", timeout=LONG)
    card(page).locator("summary", has_text="Log").focus()
    main = page.locator("[data-testid=stMain]")
    before = main.evaluate("main => { main.scrollTop = 300; return main.scrollTop; }")
    assert before > 200
    page.evaluate(WATCH_CHARTS)
    for _ in range(3):
        text, now = log.inner_text(), epoch_of(page)
        page.wait_for_function(
            "before => document.querySelector('pre.log').innerText != before",
            arg=text,
            timeout=LONG,
        )
        assert epoch_of(page) >= now
    expect(log).to_be_visible()
    assert page.evaluate("document.activeElement.innerText").endswith("Log")
    assert abs(main.evaluate("main => main.scrollTop") - before) < 5
    assert page.evaluate("window.fewest") == 2  # no chart is away while it is drawn again


def test_nothing_is_asked_while_nothing_trains(open_path):
    page = open_path("training")
    idle(page)
    expect(page.get_by_role("button", name="Start")).to_be_visible()
    page.evaluate(
        """() => {
          window.frames_sent = 0;
          const send = WebSocket.prototype.send;
          WebSocket.prototype.send = function (data) {
            window.frames_sent += 1;
            send.call(this, data);
          };
          window.changes = 0;
          new MutationObserver(() => { window.changes += 1; }).observe(
            document.querySelector('[data-testid=stMain]'),
            { subtree: true, childList: true, characterData: true });
        }"""
    )
    for _ in range(10):  # the page may still settle
        page.evaluate("window.frames_sent = window.changes = 0")
        page.wait_for_timeout(5000)  # two updates
        seen = page.evaluate("[window.frames_sent, window.changes]")
        if seen == [0, 0]:
            break
    assert seen == [0, 0]


def test_cards_fit_and_are_legible_in_both_themes(open_path, root):
    shutil.rmtree(root / FOLDER, ignore_errors=True)  # another test's run, which has a card too
    for seed, top1 in enumerate((60.0, 61.0, 62.0)):
        write_run(root, "baseline", seed, top1, data="digits-9-epochs", epochs=9)
        write_run(root, "training", seed, top1 + 4, data="digits-9-epochs", epochs=9)
    task = {"roadmap": "resnet50", "steps": ["training"], "seeds": [2], "epochs": 9}
    (root / background.FOLDER).mkdir(exist_ok=True)
    background._write(root, task | {"pid": 2})
    stopped = write_run(root, "gelu", data="pics", done=1, status="interrupted")
    (stopped / LOCK).touch()
    page = open_path("training", FULL)
    idle(page)
    expect(
        page.get_by_text("python -m roadmap train --roadmap resnet50 --step gelu")
    ).to_be_visible()
    expect(charts(page)).to_have_count(4)
    expect(page.locator(".narrowing tbody tr")).to_have_count(2)
    expect_to_fit(page)
    assert at_rest(page) == []
    assert faint_at_rest(page) == []
    themed(page, "dark")
    assert at_rest(page, COLORS) == []
    assert faint_at_rest(page) == []
    page.set_viewport_size(NARROW)
    expect_to_fit(page)
    assert at_rest(page) == []
