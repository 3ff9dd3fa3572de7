"""How soon the explorer answers when a class uses it at once.

    python benchmarks/app_load.py [--sessions 1 10] [--actions 24]

Clients speak Streamlit's own protocol over loopback, one connection a session: each opens the
app, then acts every one to three seconds, as people who read do: most often another step of a
roadmap, sometimes another page. A time runs from sending the request until the script has
finished and all it drew has arrived. No browser draws anything; ``app_latency.py`` measures that.
Writes ``measured/app_load``.
"""

from __future__ import annotations

import argparse
import asyncio
import datetime
import os
import platform
import random
import statistics
import time
from importlib.metadata import version
from urllib.parse import urlencode

from browser import ROOT, served
from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg
from websockets.asyncio.client import ClientConnection, connect

from roadmap.results import write_rows
from roadmap.steps import ROADMAPS

PAGES = ("", "inside", "builder", "sizes", "recipes", "method")
PAUSE = (1.0, 3.0)  # seconds between a session's actions
SHARE_OF_PAGES = 0.25
START = 4.0  # seconds over which sessions begin

Times = dict[str, list[float]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sessions", type=int, nargs="+", default=[1, 10])
    parser.add_argument("--actions", type=int, default=24, help="of each session")
    options = parser.parse_args()
    rows = []
    with served(ROOT / "app.py") as url:
        asyncio.run(warm(url))
        for sessions in options.sessions:
            times = asyncio.run(together(url, sessions, options.actions))
            rows += [row(sessions, what, seconds) for what, seconds in times.items()]
    for line in rows:
        print(
            f"{line['sessions']:3} sessions, {line['what']:5} "
            f"{line['median_s']:.3f} s, 90% within {line['p90_s']:.3f} s"
        )
    write_rows("measured/app_load", rows)


def row(sessions: int, what: str, seconds: list[float]) -> dict[str, object]:
    tenths = statistics.quantiles(seconds, n=10, method="inclusive")
    return {
        "sessions": sessions,
        "what": what,
        "samples": len(seconds),
        "median_s": round(statistics.median(seconds), 3),
        "p10_s": round(tenths[0], 3),
        "p90_s": round(tenths[-1], 3),
        "longest_s": round(max(seconds), 3),
        "cpus": os.cpu_count(),
        "streamlit": version("streamlit"),
        "python": platform.python_version(),
        "date": datetime.date.today().isoformat(),
    }


async def warm(url: str) -> None:
    """Every page once, so that imports and tables that are read once stay out of the times."""
    async with session(url) as connection:
        for page in PAGES:
            await run(connection, page, {})


async def together(url: str, sessions: int, actions: int) -> Times:
    times: Times = {"step": [], "page": []}
    await asyncio.gather(*(visitor(url, number, actions, times) for number in range(sessions)))
    return times


async def visitor(url: str, number: int, actions: int, times: Times) -> None:
    chance = random.Random(number)
    await asyncio.sleep(chance.uniform(0, START))
    async with session(url) as connection:
        page, roadmap = "", "resnet50"
        await run(connection, page, {})
        for _ in range(actions):
            await asyncio.sleep(chance.uniform(*PAUSE))
            what = "page" if chance.random() < SHARE_OF_PAGES else "step"
            if what == "page":
                page = chance.choice([other for other in PAGES if other != page])
            else:  # a step is chosen on the first page or inside a step
                page = page if page in ("", "inside") else ""
            query = {"roadmap": roadmap, "step": chance.choice(ROADMAPS[roadmap].keys)}
            times[what].append(await run(connection, page, query))


def session(url: str) -> connect:
    address = url.replace("http://", "ws://") + "/_stcore/stream"
    return connect(address, subprotocols=["streamlit"], max_size=None, origin=url)


async def run(connection: ClientConnection, page: str, query: dict[str, str]) -> float:
    """Seconds until the page has been sent whole."""
    request = BackMsg()
    request.rerun_script.query_string = urlencode(query)
    request.rerun_script.page_name = page
    begun = time.perf_counter()
    await connection.send(request.SerializeToString())
    while True:
        answer = ForwardMsg.FromString(await asyncio.wait_for(connection.recv(), timeout=60))
        kind = answer.WhichOneof("type")
        if kind == "delta" and answer.delta.new_element.WhichOneof("type") == "exception":
            raise SystemExit(f"page {page!r} failed: {answer.delta.new_element.exception.message}")
        if kind == "script_finished":
            return time.perf_counter() - begun


if __name__ == "__main__":
    main()
