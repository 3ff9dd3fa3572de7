"""``python -m roadmap``. Torch and pandas come in only with the commands that need them."""

from __future__ import annotations

from enum import Enum
from pathlib import Path
from typing import Annotated, Any

import typer

from roadmap.console import Column, Format, emit, fail, number
from roadmap.measure.networks import UnknownNetworkError, config_of
from roadmap.results import ResultsError, paper_figures, read_rows
from roadmap.steps import ROADMAPS, Roadmap, unknown_name

app = typer.Typer(
    help="The roadmap from ResNet to ConvNeXt, step by step.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)

RoadmapOption = Annotated[
    str, typer.Option("--roadmap", help=f"One of {', '.join(ROADMAPS)}.", metavar="NAME")
]
StepOption = Annotated[
    str | None, typer.Option("--step", help="One step's key; all of them without.", metavar="KEY")
]
FormatOption = Annotated[Format, typer.Option("--format", help="How to print.")]


def main() -> None:
    """The command line; errors of ours are one sentence and exit code 2."""
    try:
        app()
    except ResultsError as error:
        typer.echo(f"Error: {error}", err=True)
        raise SystemExit(2) from None


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
