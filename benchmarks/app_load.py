"""Response times of the explorer with many sessions, and server memory and processor time.

    python benchmarks/app_load.py [--sessions 1 10 20 40 80] [--seconds 60]

Clients use Streamlit's protocol over loopback, one connection per session. Each opens the app, then
opens a page or changes a control every one to three seconds (``honest_visitors.py``). Times are
from sending the request until the script has finished and all its output has arrived, without
drawing in a browser (``app_latency.py`` measures that). The server has one core, the clients
another. Linux only. Writes ``measured/app_load``.
"""

from __future__ import annotations

import argparse
import asyncio
import datetime
import os
import platform
import statistics
import time
from importlib.metadata import version

import psutil
from browser import ROOT, served
from honest_visitors import START, honest, warm

from roadmap.tables.results import write_rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sessions", type=int, nargs="+", default=[1, 10, 20, 40, 80])
    parser.add_argument("--seconds", type=float, default=60, help="per number of sessions")
    options = parser.parse_args()
    cores = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(0, cores[:1])  # the server inherits it
    with served(ROOT / "app.py", {"ROADMAP_PUBLIC": "1"}) as url:
        os.sched_setaffinity(0, cores[1:2])
        [server] = psutil.Process().children()
        rows = asyncio.run(measured(url, server, options.sessions, options.seconds))
    for line in rows:
        print(
            f"{line['sessions']:3} sessions, {line['what']:7} {line['median_s']:.3f} s, "
            f"95% within {line['p95_s']:.3f} s; {line['server_mb']} MB, "
            f"{line['cpu_share']:.0%} of a core"
        )
    write_rows("measured/app_load", rows)


async def measured(
    url: str, server: psutil.Process, numbers: list[int], seconds: float
) -> list[dict[str, object]]:
    await warm(url)
    rows = []
    for sessions in numbers:
        taken: dict[str, object] = {}
        met = await honest(url, sessions, look(server, seconds, taken))
        if met.failures:
            raise SystemExit(f"{len(met.failures)} actions failed: {met.failures[0]}")
        rows += [
            row(sessions, what, times) | taken
            for what, times in met.times.items()
            if len(times) > 1
        ]
    return rows


async def look(server: psutil.Process, seconds: float, taken: dict[str, object]) -> None:
    """Record the server's memory (proportional set size) and processor share under all sessions."""
    await asyncio.sleep(START)
    begun, at = sum(server.cpu_times()[:2]), time.perf_counter()  # user and system
    await asyncio.sleep(seconds)
    share = (sum(server.cpu_times()[:2]) - begun) / (time.perf_counter() - at)
    memory = server.memory_full_info().pss / 1e6
    taken.update(server_mb=round(memory), cpu_share=round(share, 3))


def row(sessions: int, what: str, seconds: list[float]) -> dict[str, object]:
    parts = statistics.quantiles(seconds, n=20, method="inclusive")
    return {
        "sessions": sessions,
        "what": what,
        "samples": len(seconds),
        "median_s": round(statistics.median(seconds), 3),
        "p10_s": round(parts[1], 3),
        "p90_s": round(parts[17], 3),
        "p95_s": round(parts[18], 3),
        "longest_s": round(max(seconds), 3),
        "cpus": 2,  # the server's and the clients'
        "streamlit": version("streamlit"),
        "torch": version("torch"),
        "python": platform.python_version(),
        "date": datetime.date.today().isoformat(),
    }


if __name__ == "__main__":
    main()
