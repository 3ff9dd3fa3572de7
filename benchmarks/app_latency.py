"""Latency of the explorer's first chart, clicks, page switches and builder.

    python benchmarks/app_latency.py [--rounds 9]

The first chart and clicks are compared with those of a bare Streamlit page.
Both pages are served by Streamlit on this machine and opened in turn in headless Chromium, each
time in a new context without cache; both servers are warm. Times are taken in the page. The chart's
is from the start of navigation until the bars are drawn; a click's is from the release of the mouse
button until the answer is shown; a page switch's until the title is shown and the script has ended.
Writes ``measured/app_latency``.
"""

from __future__ import annotations

import argparse
import datetime
import os
import platform
import statistics
import tempfile
from contextlib import ExitStack
from importlib.metadata import version
from pathlib import Path

from browser import ROOT, chromium, served
from playwright.sync_api import Browser, Locator, Page

from roadmap.tables.results import write_rows

BARE_PAGE = """
import plotly.graph_objects as go
import streamlit as st

figure = go.Figure(go.Bar(x=list(range(1, 18)), y=list(range(17)), orientation="h"))
event = st.plotly_chart(figure, on_select="rerun", selection_mode="points")
st.html(f'<p class="step">{[point["y"] for point in event["selection"]["points"]]}</p>')
"""
CLICKED = (6, 3, 14, 9, 4)  # indices of bars, in this order
PAGES = (
    "Inside a step",
    "Builder",
    "Sizes",
    "Finder",
    "Training",
    "Recipes",
    "Method",
    "Roadmap",
)
CHANGES = ("Patchify", "ResNet") * 2  # the stem, in the builder
# Resolves with the seconds from the release of the mouse button until the text of ``selector``
# changes and, if ``idle``, no script runs.
WATCH = """
({ selector, idle }) => {
  const text = () => document.querySelector(selector)?.textContent;
  const running = () => !document.querySelector('[data-test-script-state=notRunning]');
  const before = text();
  let start;
  window.answered = new Promise((resolve, reject) => {
    setTimeout(() => reject(new Error('no answer to a click in 10 seconds')), 10000);
    window.addEventListener('mouseup', () => { start = performance.now(); },
      { capture: true, once: true });
    const look = () => {
      const changed = start !== undefined && text() !== undefined && text() !== before;
      if (changed && !(idle && running()))
        resolve((performance.now() - start) / 1000);
      else requestAnimationFrame(look);
    };
    look();
  });
}
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=9, help="visits per page")
    rounds = parser.parse_args().rounds
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        (folder / "bare.py").write_text(BARE_PAGE, encoding="utf-8")
        scripts = {"explorer": ROOT / "app.py", "bare": folder / "bare.py"}
        urls = {name: stack.enter_context(served(script)) for name, script in scripts.items()}
        browser = stack.enter_context(chromium())
        charts: dict[str, list[float]] = {name: [] for name in urls}
        clicks: dict[str, list[float]] = {name: [] for name in urls}
        switches: list[float] = []
        changes: list[float] = []
        for number in range(rounds + 1):
            for name, url in urls.items():
                own = name == "explorer"
                chart, answers, switched, changed = visit(browser, url, own)
                if number:  # the first visit warms the server up
                    charts[name].append(chart)
                    clicks[name] += answers
                    switches += switched
                    changes += changed
    rows = [
        row(what, name, seconds)
        for what, table in (("first chart", charts), ("click", clicks))
        for name, seconds in table.items()
    ]
    rows.append(row("page switch", "explorer", switches))
    rows.append(row("builder", "explorer", changes))
    for line in rows:
        print(f"{line['what']:12} {line['page']:9} {line['median_s']:.3f} s")
    write_rows("measured/app_latency", rows)


def row(what: str, page: str, seconds: list[float]) -> dict[str, object]:
    tenths = statistics.quantiles(seconds, n=10)
    return {
        "what": what,
        "page": page,
        "samples": len(seconds),
        "median_s": round(statistics.median(seconds), 3),
        "p10_s": round(tenths[0], 3),
        "p90_s": round(tenths[-1], 3),
        "cpus": os.cpu_count(),
        "streamlit": version("streamlit"),
        "plotly": version("plotly"),
        "python": platform.python_version(),
        "date": datetime.date.today().isoformat(),
    }


def visit(
    browser: Browser, url: str, own: bool
) -> tuple[float, list[float], list[float], list[float]]:
    """Return the seconds until the first chart and the answer of each click; for the explorer, also
    until each other page and each change in the builder."""
    context = browser.new_context(viewport={"width": 1440, "height": 900})
    page = context.new_page()
    page.goto(url, wait_until="commit")
    drawn = page.wait_for_function(
        "() => document.querySelector('.js-plotly-plot .bars .point path')"
        " && performance.now() / 1000",
        polling="raf",
        timeout=60_000,
    )
    chart = float(drawn.json_value())
    page.locator(".step").first.wait_for()
    page.locator("[data-testid=stStatusWidget]").wait_for(state="detached")
    page.wait_for_timeout(1500)
    answers = [click_bar(page, index) for index in CLICKED]
    switched = [
        click(page, page.get_by_role("link", name=name, exact=True), ".title", idle=True)
        for name in (PAGES if own else ())
    ]
    changed = change(page, url) if own else []
    context.close()
    return chart, answers, switched, changed


def change(page: Page, url: str) -> list[float]:
    """Return the seconds from each click in the builder until the costs change."""
    page.goto(f"{url}/builder?a=resnet50.baseline&part=stem")
    choices = [page.get_by_role("radio", name=name, exact=True) for name in CHANGES]
    choices[0].wait_for()
    page.wait_for_timeout(3000)
    return [click(page, choice, ".st-key-builder-answer", idle=False) for choice in choices]


def click_bar(page: Page, index: int) -> float:
    chart = page.locator(".js-plotly-plot:visible").first
    bar = chart.locator(".trace.bars").first.locator(".point").nth(index)
    return click(page, bar, ".step", idle=False)


def click(page: Page, target: Locator, selector: str, idle: bool) -> float:
    """Click ``target``; return the seconds until the text of ``selector`` changes."""
    target.wait_for()
    target.scroll_into_view_if_needed()
    box = target.bounding_box()
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    page.wait_for_timeout(200)
    page.evaluate(WATCH, {"selector": selector, "idle": idle})
    page.mouse.down()
    page.mouse.up()
    seconds = float(page.evaluate("() => window.answered"))
    page.wait_for_timeout(1000)
    return seconds


if __name__ == "__main__":
    main()
