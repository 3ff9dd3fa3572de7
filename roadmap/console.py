"""What the commands share: their options, and printing for people (tables) and programs."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer
from typer.core import TyperGroup

from models.config import ConfigError, ModelConfig
from models.text import bounded, json_text, shortened
from roadmap.files import csv_text
from roadmap.steps import ROADMAPS, Roadmap, unknown_name


class Format(str, Enum):
    table = "table"
    json = "json"
    csv = "csv"


#: Of Click, or of the copy of it that Typer comes with.
USAGE_ERROR = typer.BadParameter.__base__


class Commands(TyperGroup):
    """Commands whose messages about wrong options and values repeat no more than ``bounded``."""

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
    str | None, typer.Option("--step", help="One step's key [default: all].", metavar="KEY")
]
FormatOption = Annotated[Format, typer.Option("--format", help="How to print.")]


@dataclass(frozen=True)
class Column:
    """A field of the rows, its heading in the table, and how people read its values."""

    field: str
    heading: str
    show: Callable[[Any], str] = str
    right: bool = False


def decimals(places: int, scale: float = 1.0) -> Callable[[Any], str]:
    """Shows a number divided by ``scale`` to ``places`` decimals; an absent one as a dash."""
    if scale == 1 and places == 0:  # whole numbers of any size, to the last digit
        return lambda value: "-" if value is None else f"{round(value):,}"
    return lambda value: "-" if value is None else f"{float(value) / scale:,.{places}f}"


def number(field: str, heading: str, places: int = 2, scale: float = 1.0) -> Column:
    return Column(field, heading, decimals(places, scale), right=True)


def fail(sentence: str) -> NoReturn:
    """One sentence on standard error, exit code 2."""
    typer.echo(f"Error: {bounded(sentence)}", err=True)
    raise typer.Exit(2)


def find_roadmap(name: str) -> Roadmap:
    """The roadmap, or one sentence and exit code 2."""
    if name not in ROADMAPS:
        fail(unknown_name("roadmap", name, tuple(ROADMAPS)))
    return ROADMAPS[name]


def find_keys(roadmap: Roadmap, step: str | None) -> tuple[str, ...]:
    """The step asked for, or all; one sentence and exit code 2 for a wrong key."""
    if step is None:
        return roadmap.keys
    if step not in roadmap.keys:
        fail(unknown_name(f"step of {roadmap.name}", step, roadmap.keys))
    return (step,)


def read_config(path: Path) -> ModelConfig:
    """The config in a JSON file, or one sentence and exit code 2."""
    try:
        return ModelConfig.from_json(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not text"
        fail(f"{shortened(path)} cannot be read: {reason}.")
    except ConfigError as error:
        fail(f"{shortened(path)}: {error}.")


def emit(
    rows: Sequence[Mapping[str, Any]],
    columns: Sequence[Column],
    form: Format,
    title: str = "",
    notes: Sequence[str] = (),
) -> None:
    """Print ``rows``: with json and csv every field and nothing else, as a table the columns."""
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
        # Where the width is too small, text takes several lines, so that no number is cut.
        side = "right" if column.right else "left"
        table.add_column(column.heading, justify=side, no_wrap=column.right, overflow="fold")
    for row in rows:
        table.add_row(*(column.show(row[column.field]) for column in columns))
    # Into a pipe there is no width to fit.
    width = None if sys.stdout.isatty() else 200
    console = Console(highlight=False, markup=False, width=width)
    console.print(table)
    for note in notes:
        console.print(note)
