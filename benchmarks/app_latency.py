"""How soon the explorer's first chart stands, and a click is answered, beside a bare page.

    python benchmarks/app_latency.py [--rounds 9]

Both pages are served by Streamlit on this machine and opened in turn in headless Chromium, each
time in a fresh context (nothing cached in the browser; both servers have answered once). Times are
taken in the page: the chart from the start of the navigation until its bars are drawn, the click
from the mouse button's release until the answer stands. Writes ``measured/app_latency``.
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
from playwright.sync_api import Browser, Page

from roadmap.results import write_rows

BARE_PAGE = """
import plotly.graph_objects as go
import streamlit as st

figure = go.Figure(go.Bar(x=list(range(1, 18)), y=list(range(17)), orientation="h"))
event = st.plotly_chart(figure, on_select="rerun", selection_mode="points")
st.html(f'<p class="step">{[point["y"] for point in event["selection"]["points"]]}</p>')
"""
CLICKED = (6, 3, 14, 9, 4)  # bars, in this order; no two neighbours are the same
# Resolves with the seconds from the release of the mouse button to the change of the answer's text.
WATCH = """
() => {
  const text = () => document.querySelector('.step')?.textContent;
  const before = text();
  let start;
  window.answered = new Promise((resolve, reject) => {
    setTimeout(() => reject(new Error('no answer to a click in 10 seconds')), 10000);
    window.addEventListener('mouseup', () => { start = performance.now(); },
      { capture: true, once: true });
    const look = () => {
      if (start !== undefined && text() !== undefined && text() !== before)
        resolve((performance.now() - start) / 1000);
      else requestAnimationFrame(look);
    };
    look();
  });
}
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=9, help="how often each page is opened")
    rounds = parser.parse_args().rounds
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        (folder / "bare.py").write_text(BARE_PAGE, encoding="utf-8")
        scripts = {"explorer": ROOT / "app.py", "bare": folder / "bare.py"}
        urls = {name: stack.enter_context(served(script)) for name, script in scripts.items()}
        browser = stack.enter_context(chromium())
        charts: dict[str, list[float]] = {name: [] for name in urls}
        clicks: dict[str, list[float]] = {name: [] for name in urls}
        for number in range(rounds + 1):
            for name, url in urls.items():
                chart, answers = visit(browser, url)
                if number:  # the first visit warms the server up
                    charts[name].append(chart)
                    clicks[name] += answers
    rows = [
        row(what, name, seconds)
        for what, table in (("first chart", charts), ("click", clicks))
        for name, seconds in table.items()
    ]
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


def visit(browser: Browser, url: str) -> tuple[float, list[float]]:
    """Seconds to the first chart, and to the answer of each click."""
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
    answers = [click(page, index) for index in CLICKED]
    context.close()
    return chart, answers


def click(page: Page, index: int) -> float:
    chart = page.locator(".js-plotly-plot:visible").first
    bar = chart.locator(".trace.bars").last.locator(".point").nth(index)
    bar.wait_for()
    box = bar.bounding_box()
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    page.wait_for_timeout(200)
    page.evaluate(WATCH)
    page.mouse.down()
    page.mouse.up()
    seconds = float(page.evaluate("() => window.answered"))
    page.wait_for_timeout(1000)
    return seconds


if __name__ == "__main__":
    main()
