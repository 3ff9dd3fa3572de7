"""The benchmarks' visitor without a browser meets what Chromium meets."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from playwright.sync_api import Page
from resting import resting
from streamlit.proto.BackMsg_pb2 import BackMsg
from visitor import Control, Visitor, visiting

ACTIONS = (("Next", {"trigger_value": True}), ("Measure", {"string_array_value": ["GFLOPs"]}))
T = TypeVar("T")
Shown = tuple[str, list[tuple[str, str]]]


def shown(visitor: Visitor) -> Shown:
    """The address and the controls of the page, in any order."""
    return visitor.query, sorted((control.kind, name) for name, control in visitor.controls.items())


def named(visitor: Visitor, label: str) -> Control:
    return next(control for control in visitor.controls.values() if control.label == label)


async def without_browser(url: str) -> tuple[list[Shown], list[BackMsg]]:
    pages, sent = [], []
    async with visiting(url) as visitor:
        await visitor.open("", {"roadmap": "resnet50", "step": "baseline"})
        pages.append(shown(visitor))
        for label, value in ACTIONS:
            send = visitor.connection.send
            visitor.connection.send = lambda data, send=send: (
                sent.append(BackMsg.FromString(data)) or send(data)
            )
            await visitor.set(named(visitor, label), **value)
            visitor.connection.send = send
            pages.append(shown(visitor))
    return pages, sent


def run(coroutine: Coroutine[None, None, T]) -> T:
    """In a thread of its own, as Playwright has a loop in this one."""
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(asyncio.run, coroutine).result()


def in_browser(page: Page, url: str) -> tuple[list[Shown], list[BackMsg]]:
    visitor, pages, sent, runs = Visitor(url, None), [], [], []

    def take(data: bytes) -> None:
        answer = visitor.take(data)
        if answer.WhichOneof("type") == "script_finished":
            runs.append(answer.script_finished)

    page.on(
        "websocket",
        lambda socket: (
            socket.on("framereceived", take),
            socket.on("framesent", lambda data: sent.append(BackMsg.FromString(data))),
        ),
    )

    def look() -> None:
        """Take down the page once it has run, and does not run again."""
        resting(page, lambda: len(runs) or None)
        runs.clear()
        pages.append(shown(visitor))

    page.goto(f"{url}/?roadmap=resnet50&step=baseline")
    page.get_by_role("button", name="Next").wait_for()
    visitor.query = "roadmap=resnet50&step=baseline"
    look()
    sent.clear()
    page.get_by_role("button", name="Next").click()
    look()
    page.get_by_role("radio", name="GFLOPs").first.click()
    look()
    return pages, [message for message in sent if message.HasField("rerun_script")]


def test_it_asks_for_and_gets_what_chromium_does(browser, address):
    page = browser.new_page()
    seen, asked = in_browser(page, address)
    page.close()
    own_seen, own_asked = run(without_browser(address))
    assert own_seen == seen
    for (label, _), own, theirs in zip(ACTIONS, own_asked, asked, strict=True):
        assert own.rerun_script.fragment_id == theirs.rerun_script.fragment_id
        assert own.rerun_script.page_script_hash == theirs.rerun_script.page_script_hash
        assert own.rerun_script.query_string == theirs.rerun_script.query_string
        states = {state.id: state for state in theirs.rerun_script.widget_states.widgets}
        changed = own.rerun_script.widget_states.widgets
        assert changed, label
        assert all(states[state.id] == state for state in changed)
