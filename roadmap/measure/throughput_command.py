"""``python -m roadmap benchmark``. Torch is imported when measuring starts."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import Enum
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from roadmap.console import (
    Column,
    Format,
    FormatOption,
    StepOption,
    emit,
    fail,
    find_keys,
    find_roadmap,
    number_column,
)
from roadmap.measure.networks import UnknownNetworkError, check

if TYPE_CHECKING:
    from roadmap.measure.throughput import Setting


class DTypeChoice(str, Enum):
    float32 = "float32"
    bf16 = "bf16"
    fp16 = "fp16"


def benchmark(
    roadmap: Annotated[
        str | None,
        typer.Option(
            "--roadmap",
            metavar="NAME",
            help="Measure this roadmap's steps [default: resnet50, unless --model is given].",
        ),
    ] = None,
    step: StepOption = None,
    model: Annotated[
        list[str] | None,
        typer.Option(
            "--model",
            help="Measure this model, instead of or after steps; may be repeated.",
            metavar="SOURCE:NAME",
        ),
    ] = None,
    mode: Annotated[
        Literal["inference", "training", "both"], typer.Option("--mode", help="What to measure.")
    ] = "both",
    device: Annotated[
        Literal["auto", "cpu", "cuda", "mps"],
        typer.Option("--device", help="auto: the fastest available."),
    ] = "auto",
    dtype: Annotated[
        DTypeChoice, typer.Option("--dtype", help="bf16 and fp16 use autocast.")
    ] = DTypeChoice.float32,
    batch_size: Annotated[
        int,
        typer.Option(
            "--batch-size",
            min=1,
            help="Images per batch; halved if memory runs out.",
            metavar="N",
        ),
    ] = 8,
    image_size: Annotated[
        int,
        typer.Option(
            "--image-size", min=1, help="Side of the square image, in pixels.", metavar="N"
        ),
    ] = 224,
    compiled: Annotated[
        bool, typer.Option("--compile/--no-compile", help="Compile the network first.")
    ] = False,
    channels_last: Annotated[
        bool,
        typer.Option(
            "--channels-last/--no-channels-last", help="Use the channels_last memory format."
        ),
    ] = True,
    repetitions: Annotated[
        int,
        typer.Option("--repetitions", min=10, help="Timed runs after the warm-up.", metavar="N"),
    ] = 10,
    save: Annotated[
        bool, typer.Option("--save", help="Save the rows to results/measured/throughput.csv.")
    ] = False,
    form: FormatOption = Format.table,
) -> None:
    """Measure speed and peak memory of inference and training steps."""
    names = _checked_names(roadmap, step, model or [])
    from roadmap.device import DeviceError, best_device, checked_device
    from roadmap.measure.throughput import Mode, Setting

    kind = best_device() if device == "auto" else device
    modes: tuple[Mode, ...]
    modes = ("inference", "training") if mode == "both" else (mode,)
    try:
        checked_device(kind)
    except DeviceError as error:
        fail(str(error))
    settings = [
        Setting(
            mode=mode,
            device=kind,
            dtype=dtype.value,
            channels_last=channels_last,
            compiled=compiled,
            batch_size=batch_size,
            image_size=image_size,
            repetitions=repetitions,
        )
        for mode in modes
    ]
    rows, notes, failures = _measured(names, settings, save)
    if rows:
        _print(rows, notes, form)
    if failures:
        fail(" ".join(failures))


def _checked_names(roadmap: str | None, step: str | None, models: list[str]) -> list[str]:
    """Return the selected steps, then ``models``; exit with code 2 for an unknown name."""
    names = list(models)
    if roadmap is not None or step is not None or not models:
        found = find_roadmap(roadmap or "resnet50")
        names = [f"{found.name}:{key}" for key in find_keys(found, step)] + names
    try:
        for name in names:
            check(name)
    except UnknownNetworkError as error:
        fail(str(error))
    return names


def _measured(
    names: list[str], settings: list[Setting], save: bool
) -> tuple[list[dict[str, Any]], list[str], list[str]]:
    """Return rows, notes on smaller batches, and errors of networks that do not run.

    Each row is saved at once, so stopping a long run loses nothing.
    """
    from roadmap.measure import throughput_table as table
    from roadmap.measure.throughput import MeasureError, measure

    rows, notes, failures = [], [], []
    with _progress(len(names) * len(settings)) as advance:
        for name, setting in itertools.product(names, settings):
            try:
                measured = measure(name, setting, advance(f"{name} {setting.mode}"))
            except MeasureError as error:
                failures.append(str(error))
                continue
            rows.append(table.row(measured))
            if measured.note:
                notes.append(measured.note)
                typer.echo(measured.note, err=True)
            if save:
                table.save(rows[-1:])
    return rows, notes, failures


@contextmanager
def _progress(measurements: int) -> Iterator[Callable[[str], Callable[[int, int], None]]]:
    """Show progress on standard error; yield a function that starts the next measurement's part."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    console = Console(stderr=True)
    with Progress(
        *columns, console=console, transient=True, disable=not console.is_terminal
    ) as progress:
        task = progress.add_task("", total=measurements)
        started = itertools.count()

        def advance(description: str) -> Callable[[int, int], None]:
            before = next(started)
            progress.update(task, description=description, completed=before)
            return lambda done, total: progress.update(task, completed=before + done / total)

        yield advance


def _print(rows: list[dict[str, Any]], notes: list[str], form: Format) -> None:
    first = {row["mode"]: row for row in reversed(rows)}
    if form is Format.table:
        rows = [
            {**row, "ratio": row["images_per_s"] / first[row["mode"]]["images_per_s"]}
            for row in rows
        ]
    shown = rows[0]
    places = 0 if shown["images_per_s"] >= 100 else 2
    columns = [
        Column("source", "source"),
        Column("name", "network"),
        Column("mode", "mode"),
        Column("batch_size", "batch", right=True),
        number_column("images_per_s", "images/s", places),
        number_column("images_per_s_p10", "p10", places),
        number_column("images_per_s_p90", "p90", places),
        number_column("ratio", "ratio"),
        number_column("peak_memory_gb", "peak GB"),
    ]
    if shown["device"] == "cuda":
        columns.append(Column("depthwise", "depthwise kernels"))
    compiled = "compiled" if shown["compiled"] else "eager"
    layout = "channels_last" if shown["channels_last"] else "contiguous"
    title = (
        f"{shown['device_name']}, {shown['dtype']}, {layout}, {compiled}, "
        f"{shown['image_size']} pixels, {shown['repetitions']} repetitions, torch {shown['torch']}"
    )
    emit(rows, columns, form, title, [*notes, "ratio: images/s relative to the first network."])
