"""Effect of ten hostile visitors on ten honest ones and on the memory of the server.

    python benchmarks/app_hostile.py [--requests 1000] [--sessions 10] [--rows now]

Measures honest sessions alone, then together with hostile ones, which send 1,000 requests to all
pages and the upload path (``hostile_requests.py``), each right after the previous answer. An honest
session opens a page or changes a control every one to three seconds. Times are from sending the
request until the script has finished and all its output has arrived. Server and clients share two
cores; hostile sessions have their own process. The server is public (``ROADMAP_PUBLIC=1``) and has
a copy of the runs. Linux only.

Writes ``measured/app_hostile`` (times), ``app_hostile_memory`` and ``app_hostile_requests``; rows
with another ``--rows`` name are kept.
"""

from __future__ import annotations

import argparse
import asyncio
import datetime
import os
import platform
import shutil
import statistics
import tempfile
import time
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from importlib.metadata import version
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from browser import ROOT, served
from honest_visitors import Honest, honest, warm
from hostile_requests import Outcome, attack
from process_memory import end, marked, megabytes

from roadmap.runs.folders import RUNS_VARIABLE
from roadmap.tables.results import merge_rows, read_rows, write_rows

CPUS = 2
#: As in the Docker image, except that pages show error details for the results.
ENVIRONMENT = {"ROADMAP_PUBLIC": "1", "MALLOC_ARENA_MAX": "2"}
ENVIRONMENT |= {"STREAMLIT_CLIENT_SHOW_ERROR_DETAILS": "full"}
LATE = 2.0
SAMPLED = 1.0  # seconds between samples of the memory


@dataclass
class Memory:
    """Samples of memory: phase, seconds since the start, MB of the server, MB of its children."""

    value: str  # value of the environment variable that marks the server and its children
    phase: str = "warm-up"
    samples: list[tuple[str, float, float, float]] = field(default_factory=list)

    async def watch(self) -> None:
        begun = time.perf_counter()
        while True:
            server, *others = marked(RUNS_VARIABLE, self.value) or [0]
            seconds = time.perf_counter() - begun
            self.samples.append((self.phase, seconds, megabytes([server]), megabytes(others)))
            await asyncio.sleep(SAMPLED)

    def of(self, phase: str) -> list[float]:
        return [own + theirs for name, _, own, theirs in self.samples if name == phase]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sessions", type=int, default=10, help="number of sessions of each kind")
    parser.add_argument("--requests", type=int, default=1000, help="total hostile requests")
    parser.add_argument("--seconds", type=float, default=90, help="length of the honest-only part")
    parser.add_argument("--rows", default="now", help="name of the rows")
    options = parser.parse_args()
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:CPUS])
    with tempfile.TemporaryDirectory() as folder:
        runs = Path(folder) / "runs"
        shutil.copytree(ROOT / "results" / "runs", runs)
        memory = Memory(str(runs))
        try:
            with served(ROOT / "app.py", ENVIRONMENT | {RUNS_VARIABLE: str(runs)}) as url:
                found = asyncio.run(both(url, options, memory))
        finally:
            end(marked(RUNS_VARIABLE, str(runs)))
    write(options.rows, *found, memory)


async def both(
    url: str, options: argparse.Namespace, memory: Memory
) -> tuple[dict[str, Honest], list[Outcome]]:
    """Measure honest visitors alone, then together with hostile ones."""
    watching = asyncio.create_task(memory.watch())
    await warm(url)
    met: dict[str, Honest] = {}
    memory.phase = f"{options.sessions} honest"
    met[memory.phase] = await honest(url, options.sessions, asyncio.sleep(options.seconds))
    memory.phase = f"{options.sessions} honest, {options.sessions} hostile"
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as process:
        attacking = asyncio.get_running_loop().run_in_executor(
            process, attack, url, options.sessions, options.requests
        )
        met[memory.phase] = await honest(url, options.sessions, attacking)
        outcomes = attacking.result()
    memory.phase = "after"
    await asyncio.sleep(20)
    watching.cancel()
    return met, outcomes


# Output


def write(rows: str, met: dict[str, Honest], outcomes: list[Outcome], memory: Memory) -> None:
    about = {
        "cpus": len(os.sched_getaffinity(0)),
        "streamlit": version("streamlit"),
        "torch": version("torch"),
        "python": platform.python_version(),
        "date": datetime.date.today().isoformat(),
    }
    times = [
        {"rows": rows, "visitors": phase, "what": what, **figures(seconds), **about}
        for phase, found in met.items()
        for what, seconds in (found.times | {"all": found.all}).items()
        if seconds
    ]
    kinds = [{"rows": rows, **line, **about} for line in by_kind(outcomes)]
    samples = [
        {"rows": rows, "visitors": phase, "s": round(at), "server_mb": round(own)}
        | {"children_mb": round(theirs)}
        for phase, at, own, theirs in memory.samples[:: max(1, len(memory.samples) // 100)]
    ]
    for line in times:
        print(
            f"{line['visitors']:24} {line['what']:8} {line['median_s']:.3f} s, "
            f"95% within {line['p95_s']:.3f} s, longest {line['longest_s']:.3f} s, "
            f"{line['late']} of {line['samples']} over {LATE:g} s"
        )
    for line in kinds:
        print({name: value for name, value in line.items() if name not in about})
    for phase in dict.fromkeys(sample[0] for sample in memory.samples):
        found = memory.of(phase)
        middle = len(found) // 2
        halves = [statistics.median(part) for part in (found[: middle + 1], found[middle:])]
        print(
            f"memory, {phase}: highest {max(found):.0f} MB, "
            f"median of the first half {halves[0]:.0f}, of the second {halves[1]:.0f}"
        )
    for phase, found in met.items():
        for seconds, what in sorted(found.actions, reverse=True)[:8]:
            print(f"{phase}: {seconds:.3f} s for {what}")
        for text, count in Counter(found.failures).most_common(5):
            print(f"{phase}: {count} x {text}")
    errors = Counter((outcome.kind, outcome.detail) for outcome in outcomes if outcome.detail)
    for (kind, text), count in errors.most_common(40):
        print(f"hostile, {kind}: {count} x {text[:700]}")
    merge_rows("measured/app_hostile", ("rows", "visitors", "what"), times)
    merge_rows("measured/app_hostile_requests", ("rows", "kind"), kinds)
    replace("measured/app_hostile_memory", rows, samples)


def replace(table: str, rows: str, new: list[dict[str, Any]]) -> None:
    """Replace all rows with the name ``rows``, since samples have no key."""
    try:
        old = [row for row in read_rows(table) if row["rows"] != rows]
    except ValueError:  # no table yet
        old = []
    write_rows(table, [*old, *new])


def figures(seconds: list[float]) -> dict[str, object]:
    return {
        "samples": len(seconds),
        "median_s": round(statistics.median(seconds), 3),
        "p95_s": round(sorted(seconds)[int(0.95 * (len(seconds) - 1))], 3),
        "longest_s": round(max(seconds), 3),
        "late": sum(one > LATE for one in seconds),
    }


def by_kind(outcomes: list[Outcome]) -> list[dict[str, object]]:
    """Return one row per kind of request, with outcomes and times."""
    lines = []
    for kind in dict.fromkeys(outcome.kind for outcome in outcomes):
        own = [outcome for outcome in outcomes if outcome.kind == kind]
        counts = Counter(outcome.outcome for outcome in own)
        seconds = [outcome.seconds for outcome in own]
        lines.append(
            {"kind": kind, "requests": len(own)}
            | {name.replace(" ", "_"): counts[name] for name in ENDS}
            | {"median_s": round(statistics.median(seconds), 3)}
            | {"longest_s": round(max(seconds), 3)}
        )
    return lines


ENDS = ("answered", "refused", "page error", "no answer")

if __name__ == "__main__":
    main()
