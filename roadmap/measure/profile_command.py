"""``python -m roadmap profile``. Torch and fvcore are imported when the command runs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from models.config import ModelConfig
from roadmap.console import (
    Column,
    Format,
    FormatOption,
    RoadmapOption,
    StepOption,
    emit,
    fail,
    find_keys,
    find_roadmap,
    number_column,
    read_config,
)
from roadmap.measure.networks import UnknownNetworkError, config_of


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
        number_column("size", "receptive field, px", 0),
        number_column("stride", "stride, px", 0),
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
                    number_column("params", "params", 0),
                    number_column("macs", "MMACs", 3, 1e6),
                    number_column("activations", "activations", 0),
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
            number_column("params", "params", 0),
            number_column("macs", "GFLOPs", 3, 1e9),
            number_column("conv", "conv", 3, 1e9),
            number_column("linear", "linear", 3, 1e9),
            number_column("matmul", "matmul", 3, 1e9),
            number_column("batch_norm", "batch norm", 3, 1e9),
            number_column("layer_norm", "layer norm", 3, 1e9),
            number_column("activations", "act. M", 2, 1e6),
            number_column("receptive_field", "field px", 0),
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
        first = [number_column("receptive_field", "field px", 0)]
    columns = [
        *first,
        number_column("params", "params", 0),
        number_column("macs", "MMACs", 3, 1e6),
        number_column("activations", "activations", 0),
    ]
    emit(rows, columns, form, f"Counts per image of {image_size} pixels")
