"""A visitor of the explorer without a browser, using Streamlit's protocol over a websocket.

It sends what a browser sends: opened URLs, changed controls with their fragment, and automatic
reruns, but not the values of unchanged controls. It keeps the controls of the page and draws
nothing. ``tests/views/test_visitor_in_browser.py`` compares it with Chromium.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

from google.protobuf.message import Message
from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg
from streamlit.proto.WidgetStates_pb2 import WidgetState
from websockets.asyncio.client import ClientConnection, connect

PATIENCE = 120.0  # longest wait for an answer, in seconds


class PageError(RuntimeError):
    """The page shows an exception instead of its content."""


@dataclass(frozen=True)
class Control:
    """A control on the page: its kind in the protocol, its message and its fragment."""

    kind: str
    message: Message
    fragment: str

    @property
    def id(self) -> str:
        return self.message.id

    @property
    def label(self) -> str:
        return getattr(self.message, "label", "")

    @property
    def usable(self) -> bool:
        return not getattr(self.message, "disabled", False)


@dataclass
class Visitor:
    """One connection, which is one session."""

    url: str
    connection: ClientConnection | None
    page: str = ""
    query: str = ""
    controls: dict[str, Control] = field(default_factory=dict)
    errors: list[str] = field(default_factory=list)
    _script_hash: str = ""
    _values: dict[str, WidgetState] = field(default_factory=dict)
    _redrawn: dict[str, tuple[float, float]] = field(default_factory=dict)
    _kept: dict[str, ForwardMsg] = field(default_factory=dict)  # the server later sends their hash

    async def open(self, page: str, query: Mapping[str, str] | str = "") -> float:
        """Open ``page`` with ``query``; return the seconds until all of it has arrived."""
        self.page = page
        self.query = query if isinstance(query, str) else urlencode(query)
        self._values.clear()
        self._script_hash = ""  # a hash would take precedence over the page's name
        request = self._request()
        request.rerun_script.page_name = page
        return await self._answered(request)

    async def set(self, control: Control, **value: Any) -> float:
        """Set a control to ``value``; return the seconds until the answer has arrived."""
        state = widget_state(control.id, **value)
        trigger = "trigger_value" in value
        others = [kept for kept in self._values.values() if kept.id != control.id]
        if not trigger:
            self._values[control.id] = state
        request = self._request(control.fragment)
        request.rerun_script.widget_states.widgets.extend([*others, state])
        return await self._answered(request)

    async def read(self, seconds: float) -> None:
        """Wait for ``seconds``, answering automatic reruns of the page."""
        end = time.perf_counter() + seconds
        while due := min((at for _, at in self._redrawn.values() if at < end), default=None):
            await asyncio.sleep(max(0.0, due - time.perf_counter()))
            for name, (interval, at) in list(self._redrawn.items()):
                if at <= due and name in self._redrawn:
                    self._redrawn[name] = (interval, time.perf_counter() + interval)
                    request = self._request(name)
                    request.rerun_script.is_auto_rerun = True
                    request.rerun_script.widget_states.widgets.extend(self._values.values())
                    await self._answered(request)
        await asyncio.sleep(max(0.0, end - time.perf_counter()))

    def _request(self, fragment: str = "") -> BackMsg:
        request = BackMsg()
        request.rerun_script.query_string = self.query
        request.rerun_script.page_script_hash = self._script_hash
        request.rerun_script.fragment_id = fragment
        request.rerun_script.cached_message_hashes.extend(self._kept)
        return request

    async def _answered(self, request: BackMsg) -> float:
        begun = time.perf_counter()
        await self.connection.send(request.SerializeToString())
        self.errors.clear()
        while True:
            received = await asyncio.wait_for(self.connection.recv(), timeout=PATIENCE)
            answer = self.take(received)
            ended = answer.WhichOneof("type") == "script_finished"
            if ended and answer.script_finished != ForwardMsg.FINISHED_EARLY_FOR_RERUN:
                break
        seconds = time.perf_counter() - begun
        if self.errors:
            raise PageError(f"page {self.page!r}?{self.query[:200]}: {self.errors[0]}")
        return seconds

    def take(self, data: bytes) -> ForwardMsg:
        """Apply a message of the server to the controls; return it."""
        answer = ForwardMsg.FromString(data)
        if answer.WhichOneof("type") == "ref_hash":
            metadata = answer.metadata
            answer = ForwardMsg.FromString(self._kept[answer.ref_hash].SerializeToString())
            answer.metadata.CopyFrom(metadata)
        elif answer.metadata.cacheable:
            self._kept[answer.hash] = answer
        getattr(self, f"_on_{answer.WhichOneof('type')}", lambda _: None)(answer)
        return answer

    def _on_new_session(self, answer: ForwardMsg) -> None:
        self._script_hash = answer.new_session.page_script_hash
        fragments = set(answer.metadata.run.fragment_ids)
        self.controls = {
            name: control
            for name, control in self.controls.items()
            if fragments and control.fragment not in fragments
        }
        if not fragments:
            self._redrawn.clear()

    def _on_navigation(self, answer: ForwardMsg) -> None:
        self._script_hash = answer.navigation.page_script_hash

    def _on_page_info_changed(self, answer: ForwardMsg) -> None:
        self.query = answer.page_info_changed.query_string

    def _on_auto_rerun(self, answer: ForwardMsg) -> None:
        interval = answer.auto_rerun.interval
        self._redrawn[answer.auto_rerun.fragment_id] = (interval, time.perf_counter() + interval)

    def _on_stop_auto_rerun(self, answer: ForwardMsg) -> None:
        for name in answer.stop_auto_rerun.fragment_ids:
            self._redrawn.pop(name, None)

    def _on_delta(self, answer: ForwardMsg) -> None:
        element = answer.delta.new_element
        kind = element.WhichOneof("type")
        if kind is None:
            return
        message = getattr(element, kind)
        if kind == "exception":
            place = " ".join("".join(message.stack_trace[-1:]).split())
            self.errors.append(f"{message.type}: {message.message[:300]} ({place[-200:]})")
        if name := getattr(message, "id", ""):
            self.controls[name] = Control(kind, message, answer.delta.fragment_id)
            if getattr(message, "set_value", False):
                self._values.pop(name, None)


def widget_state(name: str, **value: Any) -> WidgetState:
    """Return a control's state, such as ``string_array_value=["Block"]``."""
    state = WidgetState(id=name)
    for kind, content in value.items():
        if kind.endswith("_array_value"):
            getattr(state, kind).data.extend(content)
            getattr(state, kind).SetInParent()
        else:
            setattr(state, kind, content)
    return state


@asynccontextmanager
async def visiting(url: str):
    """Connect a ``Visitor`` to the server at ``url``."""
    address = url.replace("http://", "ws://") + "/_stcore/stream"
    async with connect(
        address, subprotocols=["streamlit"], max_size=None, origin=url, ping_timeout=None
    ) as connection:
        yield Visitor(url, connection)
