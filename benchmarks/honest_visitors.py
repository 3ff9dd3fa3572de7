"""Honest visitors of the explorer, who read, open pages and change controls."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Iterable
from dataclasses import dataclass, field
from typing import Any

from streamlit.proto.NumberInput_pb2 import NumberInput
from visitor import Control, PageError, Visitor, visiting
from websockets.exceptions import WebSocketException

from roadmap.steps import ROADMAPS

PAGES = ("", "inside", "builder", "sizes", "recipes", "effects", "ablations", "method")
PAUSE = (1.0, 3.0)  # seconds between a session's actions
SHARE_OF_PAGES = 0.3
START = 4.0  # seconds over which sessions begin
#: Buttons that honest visitors press: none that trains, measures or creates files.
PRESSED = ("Next", "Previous", "Draw again", "Up", "Down", "Reset")
#: The controls that honest visitors use.
USED = ("button", "button_group", "selectbox", "checkbox", "number_input", "slider")


@dataclass
class Honest:
    """Results of honest visitors: seconds by kind of action, and failures."""

    times: dict[str, list[float]] = field(default_factory=lambda: {"page": [], "control": []})
    failures: list[str] = field(default_factory=list)


async def warm(url: str) -> None:
    """Open every page once, so that one-time imports and reads do not count."""
    async with visiting(url) as visitor:
        for page in PAGES:
            await visitor.open(page)
        await visitor.open("recipes", "part=pictures")


async def honest(url: str, sessions: int, until: Awaitable[object]) -> Honest:
    """Run ``sessions`` sessions until ``until`` has ended."""
    met = Honest()
    ended = asyncio.ensure_future(until)
    await asyncio.gather(*(visit(url, number, ended, met) for number in range(sessions)))
    return met


async def visit(url: str, number: int, ended: asyncio.Future, met: Honest) -> None:
    chance = random.Random(number)
    await asyncio.sleep(chance.uniform(0, START))
    while not ended.done():
        try:
            async with visiting(url) as visitor:
                await visitor.open("")
                while not ended.done():
                    await visitor.read(chance.uniform(*PAUSE))
                    kind, seconds = await act(visitor, chance)
                    met.times[kind].append(seconds)
        except (PageError, WebSocketException, OSError, TimeoutError) as error:
            met.failures.append(f"{type(error).__name__}: {error}")


async def act(visitor: Visitor, chance: random.Random) -> tuple[str, float]:
    """Open another page or change a control; return which of the two, and the seconds."""
    controls = usable(visitor.controls.values())
    if not controls or chance.random() < SHARE_OF_PAGES:
        page = chance.choice([other for other in PAGES if other != visitor.page])
        roadmap = chance.choice(("resnet50", "resnet200"))
        step = chance.choice(ROADMAPS[roadmap].keys)
        return "page", await visitor.open(page, {"roadmap": roadmap, "step": step})
    control = chance.choice(controls)
    return "control", await visitor.set(control, **value_of(control, chance))


def usable(controls: Iterable[Control]) -> list[Control]:
    return [
        control
        for control in controls
        if control.kind in USED
        and control.usable
        and (control.kind != "button" or control.label in PRESSED)
    ]


def value_of(control: Control, chance: random.Random) -> dict[str, Any]:
    """Return a valid value of ``control`` in the form of the protocol."""
    message = control.message
    if control.kind == "button":
        return {"trigger_value": True}
    if control.kind == "checkbox":
        return {"bool_value": chance.random() < 0.5}
    if control.kind == "selectbox":
        return {"string_value": chance.choice(message.options)}
    if control.kind == "button_group":
        return {"string_array_value": [chance.choice(message.options).content]}
    if control.kind == "number_input":  # an arrow of the field
        value = message.default + chance.choice((-1, 1)) * message.step
        value = min(max(value, message.min), message.max)
        whole = message.data_type == NumberInput.INT
        return {"int_value": round(value)} if whole else {"double_value": value}
    if message.options:  # a slider over words
        return {"string_array_value": [chance.choice(message.options)]}
    steps = round((message.max - message.min) / message.step)
    return {"double_array_value": [message.min + chance.randint(0, steps) * message.step]}
