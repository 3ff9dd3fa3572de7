"""Hostile requests to the explorer: URLs, control values and uploads of every page.

``attack`` sends requests from several sessions at once. Request n is the same in every run with
the same seed.
"""

from __future__ import annotations

import asyncio
import http.client
import io
import json
import random
from collections.abc import Awaitable, Callable, Iterator, Sequence
from functools import cache
from typing import NamedTuple
from urllib.parse import urlencode, urlsplit

from honest_visitors import PAGES
from PIL import Image
from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.Common_pb2 import FileUploaderState, UploadedFileInfo
from visitor import Control, PageError, Visitor, visiting, widget_state
from websockets.exceptions import ConnectionClosed, WebSocketException

from models.config import BOUNDS, FIELDS
from roadmap.steps import ROADMAPS

#: URL parameters of all pages.
PARAMETERS = (
    *("roadmap", "step", "view", "metric", "tab", "part", "image", "a", "b", "edit", "model"),
    *("x", "y", "pretraining", "method", "base", "scale", "data", "cost", "lr", "epochs"),
)
#: Pages with uploads, and their query.
UPLOADS = (("builder", ""), ("recipes", "part=pictures"))
FLOOD = 20  # reruns sent without waiting; sessions opened and closed at once
NUMBERS = (-1.0, 0.5, 1e9, -1e18, 1.7e308, float("inf"), float("-inf"), float("nan"))
MEGABYTE = 1_000_000
AGAIN = 1.0  # seconds before retrying a server that refused the connection
ANSWERED, NO_ANSWER = "answered", "no answer"


class Outcome(NamedTuple):
    """The outcome of a request: ``answered``, ``refused`` (by the server, or it closed the
    connection), ``page error`` (the page shows an exception) or ``no answer``."""

    kind: str
    outcome: str
    seconds: float
    detail: str = ""


# URLs


def long_networks(chance: random.Random) -> str:
    """Return a builder query for networks of 1,000 wide blocks."""

    def network() -> str:
        cuts = sorted(chance.sample(range(1, 1000), 3))
        depths = [end - begin for begin, end in zip([0, *cuts], [*cuts, 1000], strict=True)]
        start = chance.choice(("resnet50.layer_norm", "variant.convnext_xlarge", "resnet50.gelu"))
        width = chance.choice((8, 64, 512, 1024))
        return f"{start}~depths.{'-'.join(map(str, depths))}~width.{width}"

    asked = {"a": network(), "image": str(chance.choice((32, 224, 1024)))}
    return urlencode(asked | ({"b": network(), "edit": "b"} if chance.random() < 0.5 else {}))


def absurd_address(chance: random.Random) -> str:
    """Return a query with parameters of any page and invalid values of every kind."""

    def value() -> str:
        name = chance.choice(FIELDS)
        number = chance.choice(("1e309", "-1", "nan", "9" * 300, "0", "٣", str(10**18), ""))
        return chance.choice(
            (
                number,
                chance.choice(ROADMAPS["resnet50"].keys),
                f"resnet50.baseline~{name}.{number}",
                f"variant.convnext_tiny~{'~'.join(f'{field}.{number}' for field in BOUNDS)}",
                "resnet50.baseline" + "~width.64" * 100,
                "<script>alert(1)</script>",
                "../../../../etc/passwd",
                "\x00\x1b[31m\u202e",
                json.dumps({name: [number]}),
                "%",
            )
        )

    names = chance.sample(PARAMETERS, 5)
    return urlencode([(name, value()) for name in names for _ in range(chance.choice((1, 1, 3)))])


def large_address(chance: random.Random) -> str:
    """Return a query with megabytes of JSON, deep or long."""
    name = chance.choice(PARAMETERS)
    return chance.choice(
        (
            lambda: urlencode({name: "[" * MEGABYTE}),
            lambda: urlencode({name: json.dumps({"depths": [3] * 300_000})}),
            lambda: urlencode({f"{name}{number}": number for number in range(20_000)}),
            lambda: urlencode({name: "x" * 4 * MEGABYTE}),
        )
    )()


# Files


def files(page: str, chance: random.Random) -> tuple[str, bytes]:
    """Return a file name, mostly one that ``page`` accepts, and hostile content: too large, deep,
    long, not a picture, or a picture of 400 million pixels."""
    configs = (
        lambda: ("large.json", b" " * 100 * MEGABYTE),
        lambda: ("long.json", b"[" + b"1," * (4 * MEGABYTE) + b"1]"),
        lambda: ("list.json", b'{"depths": [' + b"3," * 400_000 + b"3]}"),
        lambda: ("deep.json", b"[" * 900_000),
        lambda: ("deep-objects.json", b'{"a":' * 150_000 + b"1" + b"}" * 150_000),
        lambda: ("digits.json", b'{"width": ' + b"9" * 900_000 + b"}"),
        lambda: ("blocks.json", json.dumps({"depths": [250] * 4, "width": 2048}).encode()),
        lambda: ("names.json", json.dumps({"x" * 9: "y" * 900_000}).encode()),
    )
    images = (
        lambda: ("large.png", b" " * 100 * MEGABYTE),
        lambda: ("junk.png", chance.randbytes(MEGABYTE)),
        lambda: ("pixels.png", large_picture(20_000)),
        lambda: ("allowed.png", large_picture(6_300)),
    )
    right, wrong = (configs, images) if page == "builder" else (images, configs)
    return chance.choice(right if chance.random() < 0.9 else wrong)()


@cache
def large_picture(side: int) -> bytes:
    """Return a PNG of a few kilobytes that takes megabytes when decoded."""
    file = io.BytesIO()
    Image.new("1", (side, side)).save(file, "PNG", optimize=True)
    return file.getvalue()


# Controls


def wild_value(control: Control, chance: random.Random) -> dict[str, object]:
    """Return a value of ``control`` that no browser would send: out of range, huge, wrong type."""
    own = {
        "number_input": {"double_value": chance.choice(NUMBERS)},
        "slider": {"double_array_value": [chance.choice(NUMBERS)] * chance.choice((0, 1, 3))},
        "selectbox": {"string_value": "x" * chance.choice((1, MEGABYTE))},
        "button_group": {"string_array_value": ["none of them"] * chance.choice((1, 5_000))},
        "multiselect": {"string_array_value": ["none of them"] * chance.choice((1, 5_000))},
        "text_input": {
            "string_value": chance.choice(("9" * 1000, "1, " * 100_000, "250, 250, 250, 250", "é"))
        },
        "checkbox": {"bool_value": True},
        "plotly_chart": {
            "string_value": chance.choice(
                (
                    '{"selection": {"points": [{}], "point_indices": [1e9]}}',
                    '{"selection": {"points": [{"customdata": {"a": [1]}, "y": null}]}}',
                    '{"selection": 3}',
                    "[" * 100_000,
                    "null",
                )
            )
        },
    }
    wrong = (
        {"string_value": "x" * 100_000},
        {"double_value": float("nan")},
        {"int_value": 2**62},
        {"bool_value": True},
        {"string_array_value": ["1"] * 1000},
        {"json_value": "[" * 100_000},
        {"bytes_value": b"\xff" * 1000},
    )
    if control.kind in own and chance.random() < 0.7:
        return own[control.kind]
    return chance.choice(wrong)


# Kinds of requests


async def _networks(visitor: Visitor, chance: random.Random) -> None:
    await visitor.open("builder", long_networks(chance))


async def _absurd(visitor: Visitor, chance: random.Random) -> None:
    await visitor.open(chance.choice((*PAGES, "nowhere")), absurd_address(chance))


async def _large(visitor: Visitor, chance: random.Random) -> None:
    await visitor.open(chance.choice(PAGES), large_address(chance))


async def _controls(visitor: Visitor, chance: random.Random) -> None:
    await visitor.open(chance.choice(PAGES), chance.choice(("", "tab=cost", "part=pictures")))
    controls = list(visitor.controls.values())
    if controls:
        control = chance.choice(controls)
        await visitor.set(control, **wild_value(control, chance))


async def _buttons(visitor: Visitor, chance: random.Random) -> None:
    """Press any buttons: start, measure, create a file."""
    await visitor.open(chance.choice(("builder", "ablations", "inside")), "tab=field")
    buttons = [control for control in visitor.controls.values() if control.kind == "button"]
    for button in chance.sample(buttons, min(2, len(buttons))):
        await visitor.set(button, trigger_value=True)


async def _upload(visitor: Visitor, chance: random.Random) -> None:
    page, query = chance.choice(UPLOADS)
    await visitor.open(page, query)
    control = next(c for c in visitor.controls.values() if c.kind == "file_uploader")
    name, content = files(page, chance)
    place = await visitor.upload_address(name)
    status = await asyncio.to_thread(put, visitor.url, place.upload_url, name, content)
    file = UploadedFileInfo(name=name, size=len(content), file_id=place.file_id, file_urls=place)
    state = FileUploaderState(uploaded_file_info=[file])
    await visitor.set(control, file_uploader_state_value=state)
    if status >= 400:
        raise RefusedError(f"{status} for {name}")


async def _flood(visitor: Visitor, chance: random.Random) -> None:
    """Send reruns without waiting for answers, then open a page."""
    await visitor.open("builder")
    for _ in range(FLOOD):
        request = BackMsg()
        request.rerun_script.query_string = long_networks(chance)
        request.rerun_script.page_name = "builder"
        await visitor.connection.send(request.SerializeToString())
    await visitor.open(chance.choice(PAGES))
    await visitor.connection.close()  # pending answers belong to no request


async def _sessions(visitor: Visitor, chance: random.Random) -> None:
    """Open sessions, request a page in each, and leave."""

    async def one(page: str) -> None:
        async with visiting(visitor.url) as other:
            request = BackMsg()
            request.rerun_script.page_name = page
            await other.connection.send(request.SerializeToString())

    await asyncio.gather(*(one(chance.choice(PAGES)) for _ in range(FLOOD)))
    await visitor.open(chance.choice(PAGES))


async def _protocol(visitor: Visitor, chance: random.Random) -> None:
    """Send protocol messages to the server itself, and invalid ones."""
    await visitor.open(chance.choice(PAGES))
    request = BackMsg()
    what = chance.choice(("cache", "chunk", "file", "junk", "ids", "debug"))
    if what == "cache":
        request.clear_cache = True
    elif what == "chunk":
        request.backend_operation_request.session_id = visitor.session_id
        request.backend_operation_request.dataframe_chunk.limit = 2**31 - 1
    elif what == "file":
        request.file_urls_request.file_names.extend(["x"] * 10_000)
    elif what == "debug":
        request.debug_shutdown_runtime = True
    elif what == "ids":
        states = [widget_state("x" * 1000 + str(n), int_value=n) for n in range(3000)]
        request.rerun_script.widget_states.widgets.extend(states)
    data = chance.randbytes(100_000) if what == "junk" else request.SerializeToString()
    await visitor.connection.send(data)
    await visitor.open(chance.choice(PAGES))
    await visitor.connection.close()


Kind = Callable[[Visitor, random.Random], Awaitable[None]]
#: Kinds of requests, and their number among 20.
KINDS: dict[str, tuple[Kind, int]] = {
    "long networks": (_networks, 4),
    "absurd address": (_absurd, 3),
    "large address": (_large, 1),
    "controls": (_controls, 4),
    "buttons": (_buttons, 1),
    "upload": (_upload, 4),
    "flood": (_flood, 1),
    "sessions": (_sessions, 1),
    "protocol": (_protocol, 1),
}
PLAN: Sequence[str] = [name for name, (_, share) in KINDS.items() for _ in range(share)]


class RefusedError(RuntimeError):
    """The server refused with an HTTP status."""


def put(url: str, path: str, name: str, content: bytes) -> int:
    """Upload a file as a browser does; return the status, 413 if the connection was closed."""
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=120)
    try:
        connection.request("GET", "/_stcore/health")
        answer = connection.getresponse()
        answer.read()
        cookie = (answer.headers.get("Set-Cookie") or "").partition(";")[0]
        head = (
            f'--b\r\nContent-Disposition: form-data; name="f"; filename="{name}"\r\n'
            "Content-Type: application/octet-stream\r\n\r\n"
        )
        headers = {
            "Content-Type": "multipart/form-data; boundary=b",
            "Cookie": cookie,
            "X-Xsrftoken": cookie.partition("=")[2],
        }
        body = b"".join((head.encode(), content, b"\r\n--b--\r\n"))
        connection.request("PUT", path, body, headers)
        return connection.getresponse().status
    except (BrokenPipeError, ConnectionResetError):
        return 413
    finally:
        connection.close()


# The attack


def attack(url: str, sessions: int, requests: int, seed: int = 0) -> list[Outcome]:
    """Send ``requests`` requests from ``sessions`` sessions at once."""
    return asyncio.run(_attack(url, sessions, requests, seed))


async def _attack(url: str, sessions: int, requests: int, seed: int) -> list[Outcome]:
    numbers = iter(range(requests))
    outcomes: list[Outcome] = []
    await asyncio.gather(*(_session(url, numbers, seed, outcomes) for _ in range(sessions)))
    return outcomes


async def _session(url: str, numbers: Iterator[int], seed: int, outcomes: list[Outcome]) -> None:
    """Run hostile sessions until no number is left; each ends at its first page error, which would
    otherwise be the answer to all later requests."""
    for number in numbers:
        try:
            async with visiting(url) as visitor:
                outcomes.append(await _one(visitor, number, seed))
                while outcomes[-1].outcome == ANSWERED and visitor.connection.close_code is None:
                    if (number := next(numbers, None)) is None:
                        return
                    outcomes.append(await _one(visitor, number, seed))
        except (WebSocketException, OSError, TimeoutError) as error:
            outcomes.append(Outcome(PLAN[number % len(PLAN)], NO_ANSWER, 0.0, f"{error}"))
            await asyncio.sleep(AGAIN)  # the server has ended or accepts no more connections


async def _one(visitor: Visitor, number: int, seed: int) -> Outcome:
    kind = PLAN[number % len(PLAN)]
    chance = random.Random(f"{seed}-{number}")
    begun = asyncio.get_running_loop().time()
    said, detail = ANSWERED, ""
    try:
        await KINDS[kind][0](visitor, chance)
    except (ConnectionClosed, RefusedError) as error:
        said, detail = "refused", str(error)
    except PageError as error:
        said, detail = "page error", str(error)
    except (TimeoutError, OSError) as error:
        said, detail = NO_ANSWER, f"{type(error).__name__}: {error}"
    return Outcome(kind, said, asyncio.get_running_loop().time() - begun, detail)
