"""``python -m roadmap``. Torch and pandas are imported only by commands that need them."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from models.text import bounded, ended
from roadmap import __version__
from roadmap.analysis.audit_command import audit_command
from roadmap.console import Commands, fail
from roadmap.export.command import export
from roadmap.find.command import find
from roadmap.measure.profile_command import profile
from roadmap.measure.throughput_command import benchmark
from roadmap.report.command import report
from roadmap.study.command import effects, predict
from roadmap.sweep.command import SeedsCommand, sweep
from roadmap.tables.command import steps
from roadmap.tables.results import ResultsError
from roadmap.train.commands import evaluate, train
from roadmap.views.app_command import app_command

app = typer.Typer(
    cls=Commands,
    help="Build, run, train and measure every step from ResNet to ConvNeXt.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
app.command(name="app")(app_command)
app.command()(steps)
app.command(name="audit")(audit_command)
app.command()(profile)
app.command()(benchmark)
app.command()(find)
app.command()(train)
app.command()(evaluate)
app.command(cls=SeedsCommand)(sweep)
app.command()(report)
app.command()(effects)
app.command()(predict)
app.command()(export)


def main() -> None:
    """Run the command line. A missing table gives one sentence and exit code 2."""
    try:
        app()
    except ResultsError as error:
        typer.echo(f"Error: {ended(bounded(str(error)))}", err=True)
        sys.exit(2)


def _print_version(asked: bool) -> None:
    if asked:
        typer.echo(__version__)
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help="Show the version and exit."
        ),
    ] = False,
) -> None:
    """Options that precede a command."""


@app.command(name="timm", context_settings={"allow_interspersed_args": False})
def timm_command(
    # Hidden from the list of options, where Typer would add Python types.
    script: Annotated[str, typer.Argument(metavar="SCRIPT", hidden=True)],
    arguments: Annotated[list[str] | None, typer.Argument(metavar="ARGUMENTS", hidden=True)] = None,
) -> None:
    """Run a timm script with our networks in timm's registry.

    SCRIPT is timm's train.py, validate.py or benchmark.py, or your own script. ARGUMENTS are its
    arguments.
    """
    if not os.path.isfile(script):  # noqa: PTH113 - pathlib raises if the name is too long
        fail(f"{script} does not exist or is not a file; use the path of a Python script.")
    path = Path(script).resolve()
    # As Python does; before the import of timm, so that a checkout's own timm is used.
    sys.path.insert(0, str(path.parent))
    sys.argv = [script, *(arguments or [])]
    from roadmap.timm_models.script import run

    run(path)
