"""Time to read 5,000 training runs and to show them on the Ablations page.

``python benchmarks/runs.py`` writes 5,000 runs of 300 epochs each to a temporary folder and times:

- in Python: reading the runs, reading their learning curves, the analysis;
- in headless Chromium: opening the page, from the start of navigation until its table is shown and
  no script runs, in turn with a page of 20 runs (the share of browser and Streamlit); and choosing
  a step in the table's filter, from the release of the mouse until the rows change.

The first time of each does not count. Writes ``measured/runs``.
"""

from __future__ import annotations

import datetime
import os
import platform
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

from app_latency import click
from browser import ROOT, chromium, served
from playwright.sync_api import Browser

sys.path[:0] = [str(ROOT), str(ROOT / "tests" / "support")]

from fake_runs import write_run  # noqa: E402

from roadmap.analysis.ablation import analyse  # noqa: E402
from roadmap.runs import curves, read_runs  # noqa: E402
from roadmap.runs.folders import RUNS_VARIABLE  # noqa: E402
from roadmap.steps import ROADMAPS  # noqa: E402
from roadmap.tables.results import write_rows  # noqa: E402

RUNS, FEW, EPOCHS, REPETITIONS = 5000, 20, 300, 5
DATA = "tiny"
#: Element with the number of runs shown, which only the filter changes.
COUNT = ":has(> .st-key-ablations-filters) + div"


def write_runs(root: Path, runs: int) -> None:
    """Write ``runs`` runs: all steps of a roadmap, seed by seed."""
    draw = random.Random(0)
    keys = ROADMAPS["resnet50"].keys
    for number in range(runs):
        seed, place = divmod(number, len(keys))
        top1 = 70 + place / 10 + draw.gauss(0, 0.2)
        write_run(root, keys[place], seed, top1, data=DATA, epochs=EPOCHS)


def timed(action: Callable[[], object]) -> list[float]:
    seconds = []
    for _ in range(REPETITIONS + 1):
        begun = time.perf_counter()
        action()
        seconds.append(time.perf_counter() - begun)
    return seconds[1:]


def opened(browser: Browser, url: str) -> tuple[float, list[float]]:
    """Return the seconds until the page is shown and until each filter choice is answered."""
    context = browser.new_context(viewport={"width": 1440, "height": 900})
    page = context.new_page()
    page.goto(f"{url}/ablations", wait_until="commit")
    stood = page.wait_for_function(
        """(selector) => document.querySelector(selector)?.textContent.includes(' runs')
        && document.querySelector('[data-test-script-state=notRunning]')
        && performance.now() / 1000""",
        arg=COUNT,
        polling="raf",
        timeout=60_000,
    )
    stands = float(stood.json_value())
    page.wait_for_timeout(2000)
    page.locator("summary", has_text="runs").click()  # unfold the table of all runs
    steps = page.locator(".st-key-ablations-filter-step")
    steps.scroll_into_view_if_needed()
    page.wait_for_timeout(500)  # scrolling would close the list
    answers = []
    for key in ("kernel_7", "gelu"):
        steps.get_by_role("combobox").fill(key)
        option = page.get_by_role("option", name=key, exact=True)
        answers.append(click(page, option, COUNT, idle=False))
    context.close()
    return stands, answers


def row(what: str, seconds: list[float], runs: int = RUNS) -> dict[str, object]:
    return {
        "what": what,
        "runs": runs,
        "epochs": EPOCHS,
        "samples": len(seconds),
        "median_s": round(statistics.median(seconds), 3),
        "lowest_s": round(min(seconds), 3),
        "highest_s": round(max(seconds), 3),
        "cpus": os.cpu_count(),
        "streamlit": version("streamlit"),
        "python": platform.python_version(),
        "date": datetime.date.today().isoformat(),
    }


def main() -> None:
    with tempfile.TemporaryDirectory() as folder, tempfile.TemporaryDirectory() as few:
        root = Path(folder)
        write_runs(root, RUNS)
        write_runs(Path(few), FEW)
        found = read_runs(root)
        assert len(found.runs) == RUNS
        rows = [
            row("read", timed(lambda: read_runs(root))),
            row("curves", timed(lambda: [curves(run) for run in found.runs])),
            row("analysis", timed(lambda: analyse(found.runs, DATA, "resnet50"))),
        ]
        with (
            served(ROOT / "app.py", {RUNS_VARIABLE: folder}) as many_url,
            served(ROOT / "app.py", {RUNS_VARIABLE: few}) as few_url,
            chromium() as browser,
        ):
            pairs = [
                [opened(browser, url) for url in (many_url, few_url)]
                for _ in range(REPETITIONS + 1)
            ][1:]
        for runs, visits in zip((RUNS, FEW), zip(*pairs, strict=True), strict=True):
            stood, answered = zip(*visits, strict=True)
            rows.append(row("page opened", list(stood), runs))
            rows.append(row("page filtered", [each for both in answered for each in both], runs))
    for line in rows:
        print(f"{line['what']:14} {line['runs']:4} runs {line['median_s']:.3f} s")
    write_rows("measured/runs", rows)


if __name__ == "__main__":
    main()
