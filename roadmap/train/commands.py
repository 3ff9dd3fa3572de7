"""``python -m roadmap train`` and ``evaluate``. Torch is imported once the options are valid."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from roadmap.console import Column, Format, FormatOption, RoadmapOption, emit, note, number_column
from roadmap.errors import RefusedError
from roadmap.recipes import NAMED_RECIPES
from roadmap.steps import ROADMAPS
from roadmap.train.options import (
    AcceptOption,
    CompileOption,
    DataOption,
    DeviceOption,
    ImageSizeOption,
    MlflowOption,
    PrecisionOption,
    ScaleOption,
    TensorboardOption,
    WandbOption,
    WorkersOption,
    named,
    sentences,
    with_recipe_options,
)
from roadmap.train.recorded_sizes import SIZE_FIELDS, recorded_sizes
from roadmap.train.settings import (
    ALWAYS_TOP5,
    LAYER_DECAY,
    STEP,
    Precision,
    Settings,
    Start,
    choose_recipe,
)


@with_recipe_options
def train(
    roadmap: RoadmapOption = "resnet50",
    step: Annotated[
        str | None,
        typer.Option(
            "--step",
            help="Key of the step. With --weights, only for files that do not record their network "
            f"[default: {STEP}].",
            metavar="KEY",
        ),
    ] = None,
    weights: Annotated[
        str | None,
        typer.Option(
            "--weights",
            help="Fine-tune: start from trained instead of random weights. A file from "
            "this project, timm, torchvision or the official releases, the folder of a run, or a "
            "name in timm such as timm:convnext_tiny, which is downloaded.",
            metavar="FILE|NAME",
        ),
    ] = None,
    layer_decay: Annotated[
        float | None,
        typer.Option(
            "--layer-decay",
            help="With --weights: factor of the learning rate from one group of layers to the one "
            f"before; 1: the same rate everywhere [default: {LAYER_DECAY}].",
            metavar="X",
        ),
    ] = None,
    frozen_stages: Annotated[
        int | None,
        typer.Option(
            "--frozen-stages",
            help="With --weights: keep the stem and the first N stages as they are [default: 0].",
            metavar="N",
        ),
    ] = None,
    recipe: Annotated[
        str | None,
        typer.Option(
            "--recipe",
            help=f"One of {', '.join(NAMED_RECIPES)} [default: the step's recipe; with --weights, "
            "fine_tune].",
            metavar="NAME",
        ),
    ] = None,
    data: DataOption = None,
    image_size: ImageSizeOption = None,
    scale: ScaleOption = "full",
    seed: Annotated[
        int, typer.Option("--seed", help="Seed of all random numbers.", metavar="N")
    ] = 0,
    device: DeviceOption = None,
    precision: PrecisionOption = None,
    compiled: CompileOption = False,
    micro_batch: Annotated[
        int | None,
        typer.Option(
            "--micro-batch",
            min=1,
            help="Images per forward pass; gradients accumulate up to the batch size.",
            metavar="N",
        ),
    ] = None,
    sync_batch_norm: Annotated[
        bool,
        typer.Option(
            "--sync-batch-norm/--no-sync-batch-norm",
            help="Compute batch norm statistics over all processes.",
        ),
    ] = True,
    checkpoint_every: Annotated[
        float,
        typer.Option(
            "--checkpoint-every", min=0, help="Seconds between checkpoints.", metavar="SECONDS"
        ),
    ] = 300.0,
    tensorboard: TensorboardOption = False,
    wandb: WandbOption = False,
    mlflow: MlflowOption = False,
    workers: WorkersOption = None,
    accept_changed_data: AcceptOption = False,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            help="Folder of the run [default: results/runs/DATA/ROADMAP-STEP-seedN].",
            metavar="DIR",
        ),
    ] = None,
    *,
    changes: dict[str, Any],
) -> None:
    """Train one step, or resume a stopped run.

    Run the same command again to resume. With --weights, fine-tune trained weights for the classes
    of the data, at the image sizes of the run that trained them.

    Exit codes: 0 finished; 1 failed; 2 refused; 3 the loss was not finite; 130 stopped by Ctrl-C
    and saved; 143 stopped by SIGTERM and saved.
    """
    with sentences():
        start = _start(roadmap, step, weights, layer_decay, frozen_stages)
        sizes = {}
        if start is not None:
            recipe = recipe or "fine_tune"
            if image_size is None and scale == "full" and not changes.keys() & set(SIZE_FIELDS):
                sizes = recorded_sizes(start.weights)
        chosen, notes = choose_recipe(
            roadmap,
            step or STEP,
            recipe,
            changes=sizes | changes,
            image_size=image_size,
            scale=scale,
        )
        if sizes:
            notes.append(
                f"training at {sizes['train_size']} pixels and testing at {sizes['test_size']}, as "
                "the weights were trained: --image-size changes that"
            )
        settings = Settings(
            roadmap=roadmap,
            step=None if start else step or STEP,
            start=start,
            recipe=chosen,
            recipe_name=recipe,
            data=data,
            scale=scale,
            seed=seed,
            device=device,
            precision=precision,
            compiled=compiled,
            micro_batch=micro_batch,
            sync_batch_norm=sync_batch_norm,
            checkpoint_every=checkpoint_every,
            trackers=named(tensorboard=tensorboard, wandb=wandb, mlflow=mlflow),
            workers=workers,
            output=output,
            accept_changed_data=accept_changed_data,
        )
        from roadmap.train import run

        run.train(settings, notes)


def _start(
    roadmap: str,
    step: str | None,
    weights: str | None,
    layer_decay: float | None,
    frozen_stages: int | None,
) -> Start | None:
    """Return where to start, or None for random weights. Raises ``RefusedError``."""
    if weights is None:
        for option, value in (("layer-decay", layer_decay), ("frozen-stages", frozen_stages)):
            if value is not None:
                raise RefusedError(
                    f"--{option} only applies to fine-tuning: add --weights, or omit it"
                )
        return None
    network = None
    if step is not None:
        choose_recipe(roadmap, step)  # refuses unknown names
        network = ROADMAPS[roadmap].config(step)
    return Start(
        weights=weights,
        layer_decay=LAYER_DECAY if layer_decay is None else layer_decay,
        frozen_stages=frozen_stages or 0,
        network=network,
    )


def evaluate(
    weights: Annotated[
        Path,
        typer.Option(
            "--weights",
            help="A safetensors or torch.save file (.pth, .pth.tar, .bin), from this project or "
            "timm.",
            metavar="FILE",
        ),
    ],
    data: DataOption = None,
    model: Annotated[
        str | None,
        typer.Option(
            "--model",
            help="Network of the weights, such as resnet50:kernel_7, variant:convnext_tiny or "
            "timm:convnext_tiny. Not needed for this project's files, which record their network.",
            metavar="SOURCE:NAME",
        ),
    ] = None,
    roadmap: RoadmapOption = "resnet50",
    step: Annotated[
        str | None,
        typer.Option("--step", help="Key of a step, instead of --model.", metavar="KEY"),
    ] = None,
    image_size: ImageSizeOption = None,
    device: DeviceOption = None,
    precision: Annotated[
        Precision, typer.Option("--precision", help="bf16 uses autocast.")
    ] = "float32",
    batch_size: Annotated[
        int, typer.Option("--batch-size", min=1, help="Images per forward pass.", metavar="N")
    ] = 256,
    workers: WorkersOption = None,
    by_index: Annotated[
        bool,
        typer.Option(
            "--by-index",
            help="Match classes by index, ignoring names: output i is class i of the data.",
        ),
    ] = False,
    form: FormatOption = Format.table,
) -> None:
    """Score weights on validation images (top-1 and top-5).

    Images are resized and cropped according to the recipe of the weights; if the file has none, to
    256 and 224 pixels.

    Exit codes: 0 scored; 2 refused; 3 the loss was not finite.
    """
    with sentences():
        from roadmap.train.scoring import score_file

        row = score_file(
            weights,
            data,
            model=model or (f"{roadmap}:{step}" if step else None),
            image_size=image_size,
            device=device,
            precision=precision,
            batch_size=batch_size,
            workers=workers,
            by_index=by_index,
            say=note,
        )
    columns = [
        Column("weights", "weights"),
        Column("network", "network"),
        number_column("top1", "top-1 %"),
        *([number_column("top5", "top-5 %")] if row["num_classes"] > ALWAYS_TOP5 else []),
        number_column("loss", "loss", 4),
        number_column("images", "images", 0),
    ]
    emit([row], columns, form, f"On {row['data']}, {row['test_size']} pixels")
