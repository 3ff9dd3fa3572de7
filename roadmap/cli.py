"""``python -m roadmap``. Torch and pandas are imported only by commands that need them."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from models.config import ModelConfig
from models.text import bounded, ended
from roadmap import __version__
from roadmap.analysis.audit import SWIN, audit
from roadmap.console import (
    Column,
    Commands,
    Format,
    FormatOption,
    RoadmapOption,
    StepOption,
    emit,
    fail,
    find_keys,
    find_roadmap,
    number,
    read_config,
)
from roadmap.errors import RefusedError
from roadmap.export.command import export
from roadmap.measure.networks import UnknownNetworkError, config_of
from roadmap.measure.throughput_command import benchmark
from roadmap.report.command import report
from roadmap.study.command import effects, predict
from roadmap.sweep.command import SeedsCommand, sweep
from roadmap.tables.results import ROOT, ResultsError, step_rows
from roadmap.train.commands import evaluate, train
from roadmap.visitors import VARIABLE, checked_setting

app = typer.Typer(
    cls=Commands,
    help="Build, run, train and measure every step from ResNet to ConvNeXt.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
app.command()(benchmark)
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


@app.command(name="app")
def app_command(
    port: Annotated[
        int,
        typer.Option("--port", min=1, max=65535, help="Port to listen on.", metavar="PORT"),
    ] = 8501,
    address: Annotated[
        str,
        typer.Option(
            "--address",
            help="Address to listen on; 0.0.0.0 means all addresses. Visitors from other machines "
            "have read-only access unless ROADMAP_PUBLIC=0.",
            metavar="ADDRESS",
        ),
    ] = "localhost",
) -> None:
    """Serve the interactive explorer until Ctrl-C."""
    from streamlit.web.cli import main as streamlit

    try:
        checked_setting(os.environ.get(VARIABLE, ""))
    except RefusedError as error:
        fail(str(error))
    served = [f"--server.port={port}", f"--server.address={address}", "--server.headless=true"]
    streamlit(["run", str(ROOT / "app.py"), *served], prog_name="streamlit")


@app.command()
def steps(roadmap: RoadmapOption = "resnet50", form: FormatOption = Format.table) -> None:
    """List the steps with the paper's figures and our counts."""
    found = find_roadmap(roadmap)
    columns = [
        Column("key", "step"),
        Column("group", "group"),
        number("top1", "top-1 %"),
        number("top1_std", "±"),
        number("paper_gflops", "GFLOPs, paper"),
        number("gflops", "counted", 2),
        number("params_m", "params M", 1),
        Column("adopted", "", lambda adopted: "" if adopted else "not adopted"),
    ]
    emit(step_rows(roadmap), columns, form, found.title)


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


@app.command(name="audit")
def audit_command(
    roadmap: Annotated[
        str | None,
        typer.Option(
            "--roadmap", help=f"One of {', '.join(SWIN)} [default: both].", metavar="NAME"
        ),
    ] = None,
    form: FormatOption = Format.table,
) -> None:
    """Compare the paper's GFLOPs (Tables 10 and 11) with our counts."""
    if roadmap is not None and roadmap not in SWIN:
        find_roadmap(roadmap)
        fail(f"{roadmap} only changes recipes, not GFLOPs; use {' or '.join(SWIN)}.")
    rows = [
        {**vars(row), "agrees": row.agrees}
        for name in ([roadmap] if roadmap else SWIN)
        for row in audit(name)
    ]
    columns = [
        Column("table", "table", right=True),
        Column("label", "row"),
        number("paper_gflops", "paper"),
        number("gflops", "counted", 4),
        Column("agrees", "", lambda agrees: "equal" if agrees else "differs"),
    ]
    notes = [f"Table {row['table']}, {row['label']}: {row['note']}" for row in rows if row["note"]]
    emit(rows, columns, form, "GFLOPs (multiply-adds) of convolutions and linear layers", notes)


@app.command()
def profile(
    roadmap: RoadmapOption = "resnet50",
    step: StepOption = None,
    model: Annotated[
        list[str] | None,
        typer.Option(
            "--model",
            metavar="SOURCE:NAME",
            help="Count this model instead of steps; may be repeated.",
        ),
    ] = None,
    config: Annotated[
        Path | None,
        typer.Option(
            "--config",
            help="Count the config in this JSON file, without building the network.",
            metavar="FILE",
        ),
    ] = None,
    image_size: Annotated[
        int,
        typer.Option(
            "--image-size",
            min=1,
            max=4096,
            help="Side of the square image, in pixels.",
            metavar="N",
        ),
    ] = 224,
    modules: Annotated[
        bool, typer.Option("--modules", help="List the modules of one network.")
    ] = False,
    stages: Annotated[
        bool,
        typer.Option(
            "--stages", help="List receptive field and stride of each stage of one network."
        ),
    ] = False,
    save: Annotated[
        bool, typer.Option("--save", help="Save the rows to results/measured/complexity.csv.")
    ] = False,
    form: FormatOption = Format.table,
) -> None:
    """Count parameters, GFLOPs and activations.

    Steps and models are built and counted with fvcore; configs are counted without building them.
    """
    if modules and stages:
        fail("--modules and --stages print different tables; use only one of them.")
    if save and (modules or stages or config):
        fail("--save only stores whole steps and models; omit --modules, --stages and --config.")
    if step and (model or config):
        fail("--step, --model and --config each select a network; use only one of them.")
    if config is not None:
        made_up = read_config(config)
        if stages:
            _print_stages(made_up, form)
        else:
            _profile_config(made_up, image_size, modules, form)
        return
    keys = find_keys(find_roadmap(roadmap), step)
    names = model or [f"{roadmap}:{key}" for key in keys]
    if (modules or stages) and len(names) > 1:
        option = "--modules" if modules else "--stages"
        fail(f"{option} describes a single network; select it with --step or one --model.")
    if save and image_size != 224:
        fail("--save only stores counts at 224 pixels, as in the paper; omit --image-size.")
    try:
        configs = [config_of(name) for name in names]
        if not stages:
            _profile_names(names, image_size, modules, save, form)
        elif configs[0] is None:
            fail(f"--stages needs a config, and {names[0]} has none; use a step or a variant.")
        else:
            _print_stages(configs[0], form)
    except UnknownNetworkError as error:
        fail(str(error))


def _print_stages(config: ModelConfig, form: Format) -> None:
    from roadmap.measure.receptive_field import receptive_fields

    columns = [
        Column("part", "after"),
        number("size", "receptive field, px", 0),
        number("stride", "stride, px", 0),
    ]
    emit([vars(field) for field in receptive_fields(config)], columns, form)


def _profile_names(
    names: list[str], image_size: int, modules: bool, save: bool, form: Format
) -> None:
    from roadmap.measure import complexity_table

    try:
        if modules:
            emit(
                complexity_table.module_rows(names[0], image_size),
                [
                    Column("module", "module"),
                    number("params", "params", 0),
                    number("macs", "MMACs", 3, 1e6),
                    number("activations", "activations", 0),
                ],
                form,
                f"{names[0]} at {image_size} pixels",
            )
            return
        rows = complexity_table.rows(names, image_size)
    except ValueError as error:
        fail(str(error))
    if save:
        complexity_table.save(rows)
    emit(
        rows,
        [
            Column("source", "source"),
            Column("name", "network"),
            number("params", "params", 0),
            number("macs", "GFLOPs", 3, 1e9),
            number("conv", "conv", 3, 1e9),
            number("linear", "linear", 3, 1e9),
            number("matmul", "matmul", 3, 1e9),
            number("batch_norm", "batch norm", 3, 1e9),
            number("layer_norm", "layer norm", 3, 1e9),
            number("activations", "act. M", 2, 1e6),
            number("receptive_field", "field px", 0),
        ],
        form,
        f"fvcore's counts per image of {image_size} pixels, in 1e9 operations",
        ["GFLOPs as in the paper: conv + linear + matmul, one multiply-add counted once."],
    )


def _profile_config(config: ModelConfig, image_size: int, modules: bool, form: Format) -> None:
    from roadmap.measure.complexity import count
    from roadmap.measure.receptive_field import receptive_fields

    try:
        cost = count(config, image_size)
    except ValueError as error:
        fail(str(error))
    first: list[Column] = []
    if modules:
        rows = [
            {
                "module": module.path,
                "kind": module.kind,
                "params": module.parameters,
                "macs": module.macs,
                "activations": module.activations,
            }
            for module in cost.modules
        ]
        first = [Column("module", "module"), Column("kind", "kind")]
    else:
        last = receptive_fields(config)[-1]
        rows = [
            {
                "image_size": image_size,
                "params": cost.parameters,
                "macs": cost.macs,
                "activations": cost.activations,
                "receptive_field": last.size,
                "stride": last.stride,
            }
        ]
        first = [number("receptive_field", "field px", 0)]
    columns = [
        *first,
        number("params", "params", 0),
        number("macs", "MMACs", 3, 1e6),
        number("activations", "activations", 0),
    ]
    emit(rows, columns, form, f"Counts per image of {image_size} pixels")
