"""``python -m roadmap find``. Torch is only imported by the processes that measure."""

from __future__ import annotations

import re
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from enum import Enum
from pathlib import Path
from typing import Annotated, Any

import typer

from models.config import ModelConfig
from models.text import shortened, unknown_name
from roadmap.console import (
    Column,
    Format,
    FormatOption,
    emit,
    fail,
    note,
    number_column,
    read_config,
)
from roadmap.errors import RefusedError
from roadmap.find import answer, shared, store
from roadmap.find.answer import MeasuredPoint
from roadmap.find.candidates import Candidate, of_config
from roadmap.find.machine import KINDS, devices
from roadmap.find.plan import plan
from roadmap.find.question import BATCH_SIZES, TOP1, Question
from roadmap.find.search import Search, known, missing, prepared, repeatable, unmeasured
from roadmap.measure.throughput_command import DTypeChoice
from roadmap.text import counted, duration, time_limit

#: Least and largest values of options.
RANGES = {"--top1": TOP1, "--batch-size": BATCH_SIZES, "--minutes": (0, 24 * 60)}


class ObjectiveChoice(str, Enum):
    latency = "latency"
    throughput = "throughput"
    memory = "memory"


def find(
    top1: Annotated[
        float,
        typer.Option("--top1", help="Minimum ImageNet-1K top-1.", metavar="PERCENT"),
    ] = 82.0,
    device: Annotated[
        str,
        typer.Option(
            "--device",
            help="auto (the fastest here), cuda, mps or cpu; or the name of a measured device, "
            "or words of it that no other has, such as h200.",
            metavar="DEVICE",
        ),
    ] = "auto",
    batch_size: Annotated[
        int,
        typer.Option("--batch-size", help="Images per batch.", metavar="N"),
    ] = 1,
    dtype: Annotated[
        DTypeChoice | None,
        typer.Option(
            "--dtype",
            help="bf16 and fp16 use autocast [default: bf16 on a GPU, float32 on a CPU].",
        ),
    ] = None,
    objective: Annotated[
        ObjectiveChoice, typer.Option("--objective", help="What to optimize.")
    ] = ObjectiveChoice.latency,
    config: Annotated[
        Path | None,
        typer.Option("--config", help="Also measure the config in this JSON file.", metavar="FILE"),
    ] = None,
    minutes: Annotated[
        float,
        typer.Option(
            "--minutes",
            help="Stop measuring after this time; 0 answers from what is measured.",
            metavar="N",
        ),
    ] = 10.0,
    add: Annotated[
        Path | None,
        typer.Option("--add", help="First add a shared results file (CSV).", metavar="FILE"),
    ] = None,
    form: FormatOption = Format.table,
) -> None:
    """Find the fastest network with a given accuracy.

    Candidates are measured on the device, most promising first, each in a process of its own. Each
    result is saved immediately: the same command continues a stopped search. Accuracies are
    published ones; weights are random, which does not change speed.
    """
    _check_ranges({"--top1": top1, "--batch-size": batch_size, "--minutes": minutes})
    if add is not None:
        _add(add)
    own = _own(config)
    try:
        question = _question(top1, device, batch_size, dtype, objective.value)
    except RefusedError as error:
        fail(str(error))
    if minutes > 0 and question.device_name in devices().values():
        search = prepared(question, minutes, own)
        _announce(search)
        if search.waiting or repeatable(question, search.plan.order, store.rows()):
            _run(search)
            _report(search)
    _print(question, own, form)


def _check_ranges(values: dict[str, float]) -> None:
    """Exit with code 2 at the first value out of its range; NaN is in none."""
    for option, value in values.items():
        low, high = RANGES[option]
        if not low <= value <= high:
            fail(f"{option} is {value:g}; use {low:g} to {high:g}")


def _add(path: Path) -> None:
    """Merge a shared file into the table, or exit with code 2."""
    try:
        with path.open("rb") as file:
            content = file.read(shared.MOST_BYTES + 1)
        count = store.merge(shared.read(content, shortened(path)))
    except OSError as error:
        fail(f"{shortened(path)} cannot be read or added: {error.strerror}")
    except RefusedError as error:
        fail(str(error))
    note(f"{shortened(path)}: {counted(count, 'measurement')} added.")


def _own(path: Path | None) -> Candidate | None:
    if path is None:
        return None
    found: ModelConfig = read_config(path)
    try:
        return of_config(found)
    except ValueError as error:
        fail(f"{shortened(path)}: {error}")


def _question(
    top1: float, device: str, batch_size: int, dtype: DTypeChoice | None, objective: str
) -> Question:
    """Return the question. Raises ``RefusedError`` for a device that is unknown."""
    kind, name = _device(device)
    default = "float32" if kind == "cpu" else "bf16"
    return Question(
        top1=top1,
        device=kind,
        device_name=name,
        batch_size=batch_size,
        dtype=dtype.value if dtype else default,
        objective=objective,
    )


def _device(asked: str) -> tuple[str, str]:
    """Return kind and name of the hardware."""
    measured = {row["device_name"]: row["device"] for row in store.figures()}
    if asked in measured:
        return measured[asked], asked
    here = devices()
    if asked == "auto":
        return next(iter(here.items()))
    if asked in here:
        return asked, here[asked]
    if asked in KINDS:
        raise RefusedError(f"This machine has no {asked} device; use {' or '.join(here)}")
    known = measured | {name: kind for kind, name in here.items()}
    # Whole words: an NVIDIA H20 is no NVIDIA H200.
    words = re.compile(rf"(?<!\w){re.escape(asked.strip())}(?!\w)", re.IGNORECASE)
    found = [name for name in known if asked.strip() and words.search(name)]
    if len(found) == 1:
        note(f"Device: {found[0]}.")
        return known[found[0]], found[0]
    raise RefusedError(unknown_name("device", shortened(asked, 80), ("auto", *here, *measured)))


# Before, during and after measuring


def _announce(search: Search) -> None:
    """Say what will be measured and about how long it takes, before it starts."""
    question, order = search.question, search.plan.order
    waiting, again = search.waiting, repeatable(question, order, store.rows())
    done = len(order) - len(waiting)
    rates = search.rates
    first = [each for each in waiting if each in search.plan.first]
    needed = [sum(rates.seconds(each) for each in part) for part in (first, waiting)]
    note(
        f"{question.conditions}: {counted(len(order), 'network')} to measure for at least "
        f"{question.top1:.1f}% top-1 ({done} already measured, {len(again)} of them to repeat). "
        f"{search.plan.below} have a lower published top-1, {search.plan.beaten} are beaten by a "
        "smaller network of their family; these are not measured."
    )
    if waiting:
        note(
            f"The {counted(len(first), 'network')} that can win take about "
            f"{duration(needed[0])}, all {len(waiting)} about {duration(needed[1])}; measuring "
            f"stops after {time_limit(search.minutes)}. Ctrl-C stops it and keeps what is "
            "measured."
        )


def _run(search: Search) -> None:
    """Run the search with progress on standard error; Ctrl-C stops it."""
    with _progress(search) as show:
        search.on_change = show
        threading.Thread(target=search.run, daemon=True).start()
        ended = False
        while not ended:
            try:
                ended = search.wait(0.5)
            except KeyboardInterrupt:
                search.stop()


@contextmanager
def _progress(search: Search) -> Iterator[Any]:
    """Yield a function that shows the state: a bar in a terminal, else a line per measurement."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    console = Console(stderr=True)
    total = len(search.waiting)
    lines = _lines(search, total)
    if not console.is_terminal:
        yield lines
        return
    columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task("", total=total)

        def show() -> None:
            name = search.now.title if search.now else ""
            progress.update(task, description=name, completed=search.measured)
            lines()

        yield show


def _lines(search: Search, total: int) -> Any:
    """Return a function that prints a line after each measurement or failure."""
    seen = {"done": 0, "failures": 0}

    def show() -> None:
        done = search.measured + search.repeats
        if done > seen["done"]:
            seen["done"] = done
            left = duration(search.seconds_left)
            name = search.now.title if search.now else ""
            busy = f" Disturbed: {search.busy}." if search.busy else ""
            what = "again " if search.repeating else ""
            note(
                f"{search.measured} of {total}: {what}{name}{_value(search)}; about {left} left."
                f"{busy}"
            )
        for name in list(search.failures)[seen["failures"] :]:
            note(f"{name} was not measured: {search.failures[name]}")
        seen["failures"] = len(search.failures)

    return show


def _value(search: Search) -> str:
    if search.now is None:
        return ""
    found = answer.points(search.question, [search.now], store.rows())
    return f", {search.question.measured.show(found[0].value)}" if found else ""


def _report(search: Search) -> None:
    """Say why measuring ended, if not because all is measured."""
    left = len(missing(search.question, search.plan.order, store.rows()))
    match search.state:
        case "stopped":
            note("Stopped and saved. Run the same command to continue.")
        case "out of time":
            note(
                f"Time is up; {counted(left, 'network')} not measured yet. Run the same command to "
                "continue."
            )
        case "failed":
            note(search.problem or "The search ended early; run the same command to continue.")
    if search.failures:
        note(f"{counted(len(search.failures), 'network')} could not be measured.")


def _print(question: Question, own: Candidate | None, form: Format) -> None:
    networks = known(own)
    rows = store.figures()
    measured = answer.points(question, networks, rows)
    left = unmeasured(question, plan(question, networks, rows), rows)
    if form is not Format.table:
        best = answer.front(measured)
        emit([_fields(question, point, point in best) for point in measured], (), form)
        if left:
            note(left)
        return
    _print_figures(question, measured)
    typer.echo(" ".join(filter(None, [answer.sentence(question, measured, networks), left])))
    if not measured and (others := answer.other_conditions(question, rows)):
        typer.echo(others)
    if about := answer.about_own(question, measured):
        typer.echo(about)
    if able := answer.winners(question, measured):
        typer.echo(f"\n{answer.python_lines(able[0].candidate, question)}\n")
        typer.echo(answer.weights_note(able[0].candidate))
    sys.stdout.flush()


def _fields(question: Question, point: MeasuredPoint, on_front: bool) -> dict[str, Any]:
    """Return what is printed of a point as CSV or JSON."""
    candidate = point.candidate
    return {
        "source": candidate.source,
        "name": candidate.name,
        "weights": candidate.weights,
        "pretraining": candidate.pretraining if candidate.top1 else "",
        "image_size": candidate.image_size,
        "top1": candidate.top1,
        "test_set": candidate.test_set,
        question.objective: round(point.value, 4),
        "unit": question.measured.unit,
        "front": on_front,
        "disturbed": point.disturbed,
        "date": point.date,
        "device_name": question.device_name,
        "batch_size": question.batch_size,
        "dtype": question.dtype,
    }


def _print_figures(question: Question, measured: list[MeasuredPoint]) -> None:
    """Print a table of the networks with the asked accuracy, and of the user's own."""
    best, able = answer.front(measured), answer.winners(question, measured)
    shown = [point for point in measured if point in able or point.candidate.top1 is None]
    if not shown:
        return
    rows = [
        {
            "library": point.candidate.library,
            "label": point.candidate.label,
            **_fields(question, point, point in best),
        }
        for point in shown
    ]
    columns = [
        Column("library", "from"),
        Column("label", "network"),
        Column("weights", "weights"),
        Column("image_size", "px", right=True),
        number_column("top1", "top-1 %", 1),
        number_column(question.objective, question.measured.unit, 2),
        Column("front", "Pareto", lambda front: "front" if front else ""),
        Column("disturbed", "", lambda text: "disturbed" if text else ""),
        Column("date", "measured on"),
    ]
    emit(rows, columns, Format.table, f"{question.conditions}, inference, eager, channels_last")
