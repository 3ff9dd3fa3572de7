"""Shared parts of the commands: options, and output as tables, JSON and CSV."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Annotated, Any, Literal, NoReturn

import typer
from typer.core import TyperGroup

from models.config import ConfigError, ModelConfig
from models.text import bounded, ended, json_text, shortened, unknown_name
from roadmap.definition import Roadmap
from roadmap.files import csv_text
from roadmap.steps import ROADMAPS


class Format(str, Enum):
    table = "table"
    json = "json"
    csv = "csv"


#: The class from Click, or from Typer's bundled copy of Click.
USAGE_ERROR: Any = typer.BadParameter.__base__


class Commands(TyperGroup):
    """Commands whose messages about wrong options and values are shortened (``bounded``)."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        with _bounded_usage():
            return super().parse_args(ctx, args)

    def invoke(self, ctx: Any) -> Any:
        with _bounded_usage():
            return super().invoke(ctx)


@contextmanager
def _bounded_usage() -> Iterator[None]:
    try:
        yield
    except USAGE_ERROR as error:
        error.message = bounded(error.message)
        raise


RoadmapOption = Annotated[
    str, typer.Option("--roadmap", help=f"One of {', '.join(ROADMAPS)}.", metavar="NAME")
]
StepOption = Annotated[
    str | None, typer.Option("--step", help="Key of a step [default: all steps].", metavar="KEY")
]
RunsOption = Annotated[
    Path | None,
    typer.Option("--runs", help="Folder of the runs [default: results/runs].", metavar="DIR"),
]
#: The option ``--data`` of commands about finished runs.
DATA_NAME = typer.Option("--data", help="Name of the data set, as in run.json.", metavar="NAME")
FormatOption = Annotated[Format, typer.Option("--format", help="Output format.")]


@dataclass(frozen=True)
class Column:
    """A field of the rows, its heading in the table, and the format of its values."""

    field: str
    heading: str
    show: Callable[[Any], str] = str
    right: bool = False


def decimals(places: int, scale: float = 1.0) -> Callable[[Any], str]:
    """Return a format: divided by ``scale``, ``places`` decimals, a dash if missing."""
    if scale == 1 and places == 0:  # whole numbers of any size, with all digits
        return lambda value: "-" if value is None else f"{round(value):,}"
    return lambda value: "-" if value is None else f"{float(value) / scale:,.{places}f}"


def number_column(field: str, heading: str, places: int = 2, scale: float = 1.0) -> Column:
    return Column(field, heading, decimals(places, scale), right=True)


def fail(sentence: str) -> NoReturn:
    """Print an error message to standard error and exit with code 2."""
    typer.echo(f"Error: {ended(bounded(sentence))}", err=True)
    raise typer.Exit(2)


def note(sentence: str) -> None:
    """Print a sentence to standard error."""
    typer.echo(ended(bounded(sentence)), err=True)


def find_roadmap(name: str) -> Roadmap:
    """Return the roadmap, or exit with code 2 if the name is unknown."""
    if name not in ROADMAPS:
        fail(unknown_name("roadmap", name, tuple(ROADMAPS)))
    return ROADMAPS[name]


def find_keys(roadmap: Roadmap, step: str | None) -> tuple[str, ...]:
    """Return the requested step, or all; exit with code 2 for an unknown key."""
    if step is None:
        return roadmap.keys
    if step not in roadmap.keys:
        fail(unknown_name(f"step of {roadmap.name}", step, roadmap.keys))
    return (step,)


def read_config(path: Path) -> ModelConfig:
    """Return the config in a JSON file, or exit with code 2."""
    try:
        return ModelConfig.from_json(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not a text file"
        fail(f"{shortened(path)} cannot be read: {reason}")
    except ConfigError as error:
        fail(f"{shortened(path)}: {error}")


def emit(
    rows: Sequence[Mapping[str, Any]],
    columns: Sequence[Column],
    form: Format,
    title: str = "",
    notes: Sequence[str] = (),
) -> None:
    """Print ``rows``, with all fields as JSON or CSV, or with ``columns`` as a table.

    ``title`` and ``notes`` are only printed with a table.
    """
    if form is Format.json:
        typer.echo(json_text(list(rows), indent=2))
    elif form is Format.csv:
        if rows:
            typer.echo(csv_text(list(rows[0]), rows), nl=False)
    else:
        _print_table(rows, columns, title, notes)


def _print_table(
    rows: Sequence[Mapping[str, Any]],
    columns: Sequence[Column],
    title: str,
    notes: Sequence[str],
) -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table

    table = Table(title=title or None, title_justify="left", title_style="bold", box=box.SIMPLE)
    for column in columns:
        # If the terminal is too narrow, text wraps, so that no number is cut.
        side: Literal["right", "left"] = "right" if column.right else "left"
        table.add_column(column.heading, justify=side, no_wrap=column.right, overflow="fold")
    for row in rows:
        table.add_row(*(column.show(row[column.field]) for column in columns))
    # Output to a pipe has no width.
    width = None if sys.stdout.isatty() else 200
    console = Console(highlight=False, markup=False, width=width)
    console.print(table)
    for note in notes:
        console.print(note)
