"""Options of the commands that train and score, and their errors as messages. Imports no torch."""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from typing import Annotated, Any

import typer

from models.text import ended
from roadmap.errors import InterruptedRunError, RefusedError, TrainingError
from roadmap.recipes import FIELDS, RECIPES, option_name
from roadmap.train.settings import (
    Precision,
    Scale,
    describe_field,
    parse_field,
)

DataOption = Annotated[
    str | None,
    typer.Option(
        "--data",
        help="A folder with train/ and val/ (or valid/, ...), a folder of parquet files, or a data "
        "set name as in timm, such as torch/cifar10 [default: handwritten digits].",
        metavar="PATH",
    ),
]
ImageSizeOption = Annotated[
    int | None,
    typer.Option(
        "--image-size",
        help="Test image size in pixels; the recipe's other sizes scale in proportion.",
        metavar="N",
    ),
]
DeviceOption = Annotated[
    str | None,
    typer.Option("--device", help="cuda, mps or cpu [default: fastest available].", metavar="NAME"),
]
RecipeOption = Annotated[
    str | None,
    typer.Option(
        "--recipe",
        help=f"One of {', '.join(RECIPES)} [default: the step's recipe].",
        metavar="NAME",
    ),
]
ScaleOption = Annotated[
    Scale, typer.Option("--scale", help="pocket: a small version that trains on a CPU in seconds.")
]
PrecisionOption = Annotated[
    Precision | None,
    typer.Option(
        "--precision",
        help="bf16 uses autocast [default: bf16 on CUDA at full scale, else float32].",
    ),
]
CompileOption = Annotated[
    bool, typer.Option("--compile/--no-compile", help="Compile the network before training.")
]
TensorboardOption = Annotated[
    bool, typer.Option("--tensorboard", help="Write TensorBoard event files.")
]
WandbOption = Annotated[
    bool,
    typer.Option("--wandb", help="Report to Weights & Biases, offline with WANDB_MODE=offline."),
]
MlflowOption = Annotated[
    bool, typer.Option("--mlflow", help="Report to MLflow, to the store in MLFLOW_TRACKING_URI.")
]
WorkersOption = Annotated[
    int | None,
    typer.Option(
        "--workers",
        help="Processes per GPU that read images [default: one per core, up to 16].",
        min=0,
        metavar="N",
    ),
]
AcceptOption = Annotated[
    bool,
    typer.Option(
        "--accept-changed-data",
        help="Resume although the data has changed, for example after removing a damaged "
        "image; run.json records the change.",
    ),
]


def with_recipe_options(command: Callable[..., None]) -> Callable[..., None]:
    """Add an option per recipe field to ``command``, which gets the values as ``changes``."""
    signature = inspect.signature(command, eval_str=True)
    shown = [p for p in signature.parameters.values() if p.name != "changes"]
    options = _recipe_options()
    fields = [option.name for option in options]

    def wrapped(**given: Any) -> None:
        texts = {name: given.pop(name) for name in fields}
        with sentences():
            changes = {n: parse_field(n, text) for n, text in texts.items() if text is not None}
        command(**given, changes=changes)

    wrapped.__name__, wrapped.__doc__ = command.__name__, command.__doc__
    parameters = [p.replace(kind=inspect.Parameter.KEYWORD_ONLY) for p in shown]
    parameters += options
    # What inspect, and so typer, reads; a function's type does not declare it.
    wrapped.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined]
    wrapped.__annotations__ = {p.name: p.annotation for p in [*shown, *options]}
    return wrapped


@cache
def _recipe_options() -> tuple[inspect.Parameter, ...]:
    return tuple(
        inspect.Parameter(
            name,
            inspect.Parameter.KEYWORD_ONLY,
            default=None,
            annotation=Annotated[
                str | None,
                typer.Option(
                    option_name(name),
                    help=f"{describe_field(name)} [default: the recipe's].",
                    metavar="VALUE",
                ),
            ],
        )
        for name in FIELDS
    )


def named(**options: bool) -> tuple[str, ...]:
    """Return the names of the ``options`` that were given."""
    return tuple(name for name, given in options.items() if given)


@contextmanager
def sentences() -> Iterator[None]:
    """Convert an error into a message on standard error and an exit code."""
    try:
        yield
    except TrainingError as error:
        # All processes of torchrun are refused for the same reason: print it once per node.
        if os.environ.get("LOCAL_RANK", "0") == "0" or not isinstance(error, RefusedError):
            start = error.name if isinstance(error, InterruptedRunError) else "Error"
            typer.echo(f"{start}: {ended(error)}", err=True)
        raise typer.Exit(error.code) from None
