"""``python -m roadmap``. Torch and pandas come in only with the commands that need them."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from models.config import ModelConfig
from models.text import bounded
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
from roadmap.export.command import export
from roadmap.measure.networks import UnknownNetworkError, config_of
from roadmap.measure.throughput_command import benchmark
from roadmap.report.command import report
from roadmap.study.command import effects, predict
from roadmap.sweep.command import SeedsCommand, sweep
from roadmap.tables.results import ROOT, ResultsError, step_rows
from roadmap.train.commands import evaluate, train
from roadmap.train.errors import RefusedError
from roadmap.visitors import VARIABLE, checked_setting

app = typer.Typer(
    cls=Commands,
    help="The roadmap from ResNet to ConvNeXt, step by step.",
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
    """The command line; a missing table is one sentence and exit code 2."""
    try:
        app()
    except ResultsError as error:
        typer.echo(f"Error: {bounded(str(error))}", err=True)
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
    """The options before a command."""


@app.command(name="app")
def app_command(
    port: Annotated[
        int, typer.Option("--port", min=1, max=65535, help="Port to listen on.")
    ] = 8501,
    address: Annotated[
        str,
        typer.Option(
            "--address",
            help="Address to listen on; 0.0.0.0 is every address. Visitors from other machines "
            "read only, unless ROADMAP_PUBLIC=0.",
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
    """List the steps: what the paper reports, what was counted."""
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
    script: Annotated[
        str, typer.Argument(help="timm's train.py, validate.py or benchmark.py, or your own.")
    ],
    arguments: Annotated[list[str] | None, typer.Argument(help="The script's own.")] = None,
) -> None:
    """Run a script that uses timm, with our models registered."""
    if not os.path.isfile(script):  # noqa: PTH113 - pathlib's raises for too long a name
        fail(f"There is no script {script}: name a Python file.")
    path = Path(script).resolve()
    # As Python itself does, and before timm is imported: a checkout's own timm wins.
    sys.path.insert(0, str(path.parent))
    sys.argv = [script, *(arguments or [])]
    from roadmap.timm_models.script import run

    run(path)


@app.command(name="audit")
def audit_command(
    roadmap: Annotated[
        str | None, typer.Option("--roadmap", help=f"One of {', '.join(SWIN)} [default: both].")
    ] = None,
    form: FormatOption = Format.table,
) -> None:
    """Compare the paper's GFLOPs with the counts, row by row.

    The paper's are those of its Tables 10 and 11.
    """
    if roadmap is not None and roadmap not in SWIN:
        find_roadmap(roadmap)
        fail(f"The audit is of architectures; {roadmap!r} is one. Use {' or '.join(SWIN)}.")
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
    emit(rows, columns, form, "GFLOPs: multiply-adds of convolutions and linear layers", notes)


@app.command()
def profile(
    roadmap: RoadmapOption = "resnet50",
    step: StepOption = None,
    model: Annotated[
        list[str] | None,
        typer.Option("--model", metavar="SOURCE:NAME", help="Instead of steps; may be repeated."),
    ] = None,
    config: Annotated[
        Path | None,
        typer.Option("--config", help="A config's JSON file: counted at once, nothing built."),
    ] = None,
    image_size: Annotated[int, typer.Option("--image-size", min=1, max=4096, help="Pixels.")] = 224,
    modules: Annotated[bool, typer.Option("--modules", help="By module, of one network.")] = False,
    stages: Annotated[
        bool, typer.Option("--stages", help="Receptive field and stride by stage, of one network.")
    ] = False,
    save: Annotated[
        bool, typer.Option("--save", help="Put the rows into results/measured/complexity.csv.")
    ] = False,
    form: FormatOption = Format.table,
) -> None:
    """Count parameters, multiply-adds and activations.

    Steps and models are built and counted by fvcore, a config without building it.
    """
    if modules and stages:
        fail("--modules and --stages are two tables: leave one of them out.")
    if save and (modules or stages or config):
        fail("--save keeps whole steps and models: leave --modules, --stages and --config out.")
    if step and (model or config):
        fail("--step names a network, and so does --model or --config: leave one of them out.")
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
        fail(f"{option} lists one network: name it with --step or one --model.")
    if save and image_size != 224:
        fail("--save keeps counts at 224 pixels, the paper's: leave --image-size out.")
    try:
        configs = [config_of(name) for name in names]
        if not stages:
            _profile_names(names, image_size, modules, save, form)
        elif configs[0] is None:
            fail(f"--stages reads a step's or variant's config, which {names[0]} does not have.")
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
        f"fvcore's counts for one image of {image_size} pixels, in 1e9 operations",
        ["GFLOPs as the paper counts them: conv + linear + matmul, a multiply-add counted once."],
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
    emit(rows, columns, form, f"Counted for one image of {image_size} pixels")
