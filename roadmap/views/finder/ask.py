"""The question as a sentence with controls in it; its values are in the page's URL."""

from __future__ import annotations

import math
import threading
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass

import streamlit as st

from models.text import said
from roadmap import visitors
from roadmap.errors import RefusedError
from roadmap.find import store
from roadmap.find.machine import devices
from roadmap.find.question import DTYPES, OBJECTIVES, TOP1, Question, plain_device
from roadmap.views.common import address, markup
from roadmap.views.common.controls import select
from roadmap.views.common.number_field import kept_number_field

HERE = {"cuda": "this GPU", "mps": "this GPU", "cpu": "this CPU"}
BATCH_SIZES = (1, 2, 4, 8, 16, 32, 64, 128, 256)
ASKED = 82.0
FOR = {"latency": "lowest latency", "throughput": "highest throughput", "memory": "least memory"}


@dataclass(frozen=True)
class Asked:
    """The question, whether its device is of this machine, and a sentence per invalid value in the
    URL."""

    question: Question
    is_here: bool
    problems: tuple[str, ...]


@dataclass(frozen=True)
class _Device:
    """A choice of hardware; ``conditions`` are the measured precisions and batch sizes."""

    kind: str
    name: str
    is_here: bool
    conditions: tuple[tuple[str, int], ...]

    @property
    def title(self) -> str:
        name = plain_device(self.name)
        return f"{HERE[self.kind]} ({name})" if self.is_here else name


def ask() -> Asked | None:
    """Show the sentence; return the question, or None if there is no device to choose."""
    rows = store.figures()
    try:
        choices = _choices(rows)
    except RefusedError as error:
        st.html(markup.notice(str(error)))
        choices = _devices_of(rows, {})
    if not choices:
        st.html(markup.notice("No device has been measured yet"))
        return None
    by_key = {_key(device): device for device in choices}
    _name_by_kind(choices)
    problems: list[str] = []

    def chosen(name: str, options: Sequence[str]) -> str:
        value, problem = address.option(st.query_params, name, options)
        problems.extend([problem] if problem else [])
        return value

    device = by_key[chosen("device", tuple(by_key))]
    dtype = chosen("dtype", _dtypes(device))
    batch = chosen("batch", _batches(device, dtype))
    objective = chosen("best", tuple(OBJECTIVES))
    top1 = _top1(problems)
    with st.container(horizontal=True, vertical_alignment="center", gap="small", key="finder-ask"):
        _words("At least")
        wrong = _top1_control(top1)
        _words("% top-1 on")
        titles = {key: each.title for key, each in by_key.items()}
        _select("device", "Device", titles, _key(device), 300)
        _words("batch")
        _select("batch", "Batch size", {b: b for b in _batches(device, dtype)}, batch, 84)
        _words("in")
        _select("dtype", "Precision", {d: d for d in _dtypes(device)}, dtype, 104)
        _words("for")
        _select("best", "Objective", FOR, objective, 186)
    if wrong:
        st.html(markup.refusal(wrong))
    question = Question(
        top1=top1,
        device=device.kind,
        device_name=device.name,
        batch_size=int(batch),
        dtype=dtype,
        objective=objective,
    )
    return Asked(question, device.is_here, tuple(problems))


def _choices(rows: Sequence[Mapping[str, str]]) -> list[_Device]:
    """Return the devices to choose from. A link to a measured one does not wait for this machine's,
    which join the list once they are found."""
    if visitors.is_public():
        return _devices_of(rows, {})
    measured = {row["device_name"] for row in rows}
    here = _here(wait=st.query_params.get("device") not in measured)
    if here is None:
        st.fragment(_once_found, run_every=1.0)()
    return _devices_of(rows, here or {})


def _here(*, wait: bool) -> dict[str, str] | None:
    """Return this machine's devices, or None if they are not found yet and ``wait`` is false."""
    looking = _looking()
    if not looking.done():
        if not wait:
            return None
        with st.spinner("Looking for the devices of this machine…"):
            looking.exception()  # waits
    if looking.exception() is not None:
        _looking.clear()  # so that the next visit tries again
    return looking.result()


@st.cache_resource(show_spinner=False)
def _looking() -> Future[dict[str, str]]:
    """Begin to look for the devices of this machine, which takes seconds, once for all visitors."""
    found: Future[dict[str, str]] = Future()

    def look() -> None:
        try:
            found.set_result(devices())
        except RefusedError as error:
            found.set_exception(error)

    threading.Thread(target=look, daemon=True).start()
    return found


def _once_found() -> None:
    if _looking().done():
        st.rerun()


def _name_by_kind(choices: Iterable[_Device]) -> None:
    """In the URL, replace the name of a device of this machine, such as in another's link."""
    for device in choices:
        if device.is_here and st.query_params.get("device") == device.name:
            st.query_params["device"] = device.kind


def _devices_of(rows: Iterable[Mapping[str, str]], here: Mapping[str, str]) -> list[_Device]:
    """Return this machine's devices, then the others with figures, GPUs first."""
    measured: dict[tuple[str, str], set[tuple[str, int]]] = {
        (kind, name): set() for kind, name in here.items()
    }
    for row in rows:
        conditions = measured.setdefault((row["device"], row["device_name"]), set())
        conditions.add((row["dtype"], int(row["batch_size_asked"])))
    found = [
        _Device(kind, name, here.get(kind) == name, tuple(sorted(conditions)))
        for (kind, name), conditions in measured.items()
    ]
    order = list(HERE)
    return sorted(found, key=lambda each: (not each.is_here, order.index(each.kind), each.name))


def _key(device: _Device) -> str:
    """Return the value in the URL: a link to this machine's GPU means the reader's."""
    return device.kind if device.is_here else device.name


def _dtypes(device: _Device) -> tuple[str, ...]:
    if device.is_here:
        return tuple(sorted(DTYPES, key=lambda each: each != _default(device.kind)))
    return tuple(sorted({dtype for dtype, _ in device.conditions}))


def _default(kind: str) -> str:
    return "float32" if kind == "cpu" else "bf16"


def _batches(device: _Device, dtype: str) -> tuple[str, ...]:
    measured = {batch for each, batch in device.conditions if each == dtype}
    sizes = measured | set(BATCH_SIZES) if device.is_here else measured
    return tuple(map(str, sorted(sizes)))


def _top1(problems: list[str]) -> float:
    """Return the asked top-1 in the URL."""
    text = st.query_params.get("top1", str(ASKED))
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not TOP1[0] <= value <= TOP1[1]:
        problems.append(
            f"The URL parameter top1 is {said(text)}; use a number from {TOP1[0]:g} to {TOP1[1]:g}."
        )
        return ASKED
    return round(value, 1)


def _top1_control(top1: float) -> str:
    """Show the field; return what is wrong with a typed number."""
    return kept_number_field(
        "Minimum top-1, percent",
        *TOP1,
        "finder-top1",
        kept=top1,
        keep=lambda value: st.query_params.update(top1=f"{value:.1f}"),
        name="The minimum top-1",
        unit="%",
        step=0.5,
        format="%.1f",
        label_visibility="collapsed",
        help=None,
        width=124,
    )


def _select(name: str, title: str, titles: Mapping[str, str], chosen: str, width: int) -> None:
    select("finder", name, title, titles, chosen, label_visibility="collapsed", width=width)


def _words(text: str) -> None:
    st.html(f'<span class="ask">{text}</span>', width="content")
