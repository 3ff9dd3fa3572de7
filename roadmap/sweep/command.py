"""``python -m roadmap sweep``. Torch is imported once the options are valid."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer
from typer.core import TyperCommand

from models.text import ended
from roadmap.console import RoadmapOption, fail
from roadmap.errors import RefusedError
from roadmap.runs.folders import runs_folder
from roadmap.study.design import Design, read_design
from roadmap.study.space import StudyError
from roadmap.sweep import plan as planning
from roadmap.sweep.plan import PlannedRun
from roadmap.text import counted, duration
from roadmap.train.options import (
    AcceptOption,
    CompileOption,
    DataOption,
    DeviceOption,
    ImageSizeOption,
    MlflowOption,
    PrecisionOption,
    RecipeOption,
    ScaleOption,
    TensorboardOption,
    WandbOption,
    WorkersOption,
    named,
    sentences,
    with_recipe_options,
)

if TYPE_CHECKING:
    from roadmap.sweep.engine import Engine
    from roadmap.sweep.estimate import Hours
    from roadmap.train.data.split import Source


class SeedsCommand(TyperCommand):
    """Accepts ``--seeds 0 1 2``: further values count as repetitions of the option."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        return super().parse_args(ctx, _repeated(args, "--seeds"))


def _repeated(args: list[str], option: str) -> list[str]:
    found: list[str] = []
    values = False
    for argument in args:
        if values and argument.isdecimal() and found[-1] != option:
            found.append(option)
        elif argument.startswith("-"):
            values = argument == option
        found.append(argument)
    return found


@with_recipe_options
def sweep(
    roadmap: RoadmapOption = "resnet50",
    seeds: Annotated[
        list[int] | None,
        typer.Option("--seeds", help="One run per seed [default: 0].", metavar="N ..."),
    ] = None,
    step: Annotated[
        list[str] | None,
        typer.Option("--step", help="Train only this step; may be repeated.", metavar="KEY"),
    ] = None,
    skip: Annotated[
        list[str] | None,
        typer.Option("--skip", help="Skip this step; may be repeated.", metavar="KEY"),
    ] = None,
    recipe: RecipeOption = None,
    data: DataOption = None,
    image_size: ImageSizeOption = None,
    scale: ScaleOption = "full",
    device: DeviceOption = None,
    precision: PrecisionOption = None,
    compiled: CompileOption = False,
    tensorboard: TensorboardOption = False,
    wandb: WandbOption = False,
    mlflow: MlflowOption = False,
    workers: WorkersOption = None,
    accept_changed_data: AcceptOption = False,
    engine: Annotated[
        Literal["local", "ray"],
        typer.Option(
            "--engine", help="local: the GPUs of this machine. ray: those of a Ray cluster."
        ),
    ] = "local",
    address: Annotated[
        str | None,
        typer.Option(
            "--address",
            help="Address of the Ray cluster [default: this machine's].",
            metavar="ADDRESS",
        ),
    ] = None,
    ahead: Annotated[
        int,
        typer.Option(
            "--ahead",
            min=0,
            help="Number of following runs to load and compile on each GPU while one trains; each "
            "takes memory.",
            metavar="N",
        ),
    ] = 0,
    design: Annotated[
        list[Path] | None,
        typer.Option(
            "--design",
            help="Train the points of this design (a JSON file) instead of steps and seeds; may "
            "be repeated.",
            metavar="FILE",
        ),
    ] = None,
    dry_run: Annotated[
        bool,
        typer.Option(
            "--dry-run", help="Print the number of runs, GPU hours and disk space, and exit."
        ),
    ] = False,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            help="Folder for the run folders [default: results/runs/DATA]. On a cluster, it must "
            "be on storage shared by all nodes.",
            metavar="DIR",
        ),
    ] = None,
    *,
    changes: dict[str, Any],
) -> None:
    """Train every step with every seed.

    Run the same command again to resume. One process per GPU. A run that fails is tried once
    more. Exit codes: 0 all finished; 1 some failed; 2 refused; 130 stopped by Ctrl-C and saved;
    143 stopped by SIGTERM and saved.
    """
    if address is not None and engine != "ray":
        fail("--address is only for a Ray cluster: add --engine ray.")
    if ahead and engine == "ray":
        fail("--ahead only works with --engine local: omit it.")
    with sentences():
        designs = _designs(design or (), step, skip, seeds, recipe, changes)
        source = opened(data)
        root = (output or runs_folder() / source.folder).absolute()
        machine = {
            "data": data,
            "scale": scale,
            "device": device,
            "precision": precision,
            "compiled": compiled,
            "trackers": named(tensorboard=tensorboard, wandb=wandb, mlflow=mlflow),
            "workers": workers,
            "accept_changed_data": accept_changed_data,
        }
        if designs:
            runs = [run for one in designs for run in planning.design_runs(one, root, **machine)]
        else:
            runs = planning.plan_runs(
                roadmap,
                step or (),
                skip or (),
                seeds or [0],
                root,
                recipe=recipe,
                changes=changes,
                image_size=image_size,
                **machine,
            )
        from roadmap.sweep.folders import check_folders

        check_folders(runs, source, _device_type(engine, device))
        for note in (*planning.notes_of(runs), *source.said):
            typer.echo(note, err=True)
        if dry_run:
            _print_plan(runs, engine, device, len(source.train.labels))
            for one in designs:
                _print_precision(one)
            return
        _check_trackers(runs)
        code = run_jobs(runs, _engine(engine, address, device, ahead))
    if code:
        raise typer.Exit(code)


def _check_trackers(runs: Sequence[PlannedRun]) -> None:
    """Refuse tools that are not installed, once instead of in every run."""
    if names := runs[0].settings.trackers:
        from roadmap.train.trackers import check_trackers

        check_trackers(names)


def _designs(paths: Sequence[Path], *others: Any) -> list[Design]:
    """Read the designs in ``paths``, which replace the options ``others``."""
    if paths and any(others):
        raise RefusedError(
            "--design sets steps, seeds and recipes: omit --step, --skip, --seeds, --recipe and "
            "the recipe fields"
        )
    try:
        designs = [read_design(path) for path in paths]
    except StudyError as error:
        raise RefusedError(str(error)) from None
    names = [one.name for one in designs]
    if len(set(names)) < len(names):
        raise RefusedError(
            f"--design: two files have a design named {names[-1]}; use only one of them"
        )
    return designs


def opened(path: str | None) -> Source:
    """Open the data at ``path`` without reading images. Raises ``RefusedError``."""
    from roadmap.train.data.images import DataError
    from roadmap.train.data.sources import open_source

    try:
        return open_source(path)
    except DataError as error:
        raise RefusedError(str(error)) from None


def _device_type(engine: str, device: str | None) -> str | None:
    """Return the device that runs train on; None for a cluster, whose nodes are unknown."""
    if engine == "ray":
        return device
    from roadmap.device import choose_device

    return choose_device(device).type


def _print_plan(runs: list[PlannedRun], engine: str, device: str | None, images: int) -> None:
    from roadmap.device import choose_device, device_name
    from roadmap.sweep.estimate import REFERENCE_DEVICE, estimate

    # A cluster's devices may differ from this machine's.
    name = REFERENCE_DEVICE if engine == "ray" else device_name(choose_device(device))
    found = estimate(runs, name, images)
    typer.echo(f"Runs: {found.runs}, {found.finished} already finished.")
    times = [_said(hours, device) for device, hours in found.hours.items()]
    if times:
        typer.echo(
            f"Time: {', '.join(times)}, from measured training speeds, excluding start-up, "
            "compilation and validation."
        )
    else:
        command = "`python -m roadmap benchmark --save`"
        typer.echo(f"Time: unknown; measure the steps with {command} first.")
    typer.echo(
        f"Disk: up to {found.disk / 1e9:.1f} GB; {found.kept / 1e9:.1f} GB after deleting the "
        "checkpoints."
    )


def _print_precision(design: Design) -> None:
    from roadmap.study.optimal import precision

    known = precision(design)
    if known is None:
        typer.echo(f"{design.name}: its runs are compared one by one; no model is fitted to them.")
        return
    effects = ", ".join(f"{name} ±{half:.2f}" for name, half in known.items())
    typer.echo(
        f"{design.name}: expected 95% intervals of the effects, in points of top-1: {effects}. "
        "They hold for least squares with the factors, their squares and the "
        f"{len(design.interactions)} planned interactions, and for scores with a standard "
        "deviation of 1 point around that model. `effects` fits a larger model, with all "
        "interactions, so its intervals may be wider or narrower."
    )


def _said(hours: Hours, device: str) -> str:
    said = f"{duration(3600 * hours.known)} on one {device}"
    return f"{said}, excluding {', '.join(hours.unknown)} (not measured)" if hours.unknown else said


def run_jobs(runs: list[PlannedRun], engine: Engine) -> int:
    """Run the runs with a progress display; list the failed ones and return the exit code."""
    from roadmap.sweep.progress_table import ProgressTable
    from roadmap.sweep.scheduler import schedule
    from roadmap.train.stopping import Signals

    with Signals() as signals, ProgressTable(runs, engine.devices) as table:
        state = schedule(runs, engine, table.show, lambda: signals.number > 0)
    for ending in state.failed:
        reason = ended(ending.reason or f"exit code {ending.code}")
        typer.echo(f"Error: {ending.run.name}: {reason}", err=True)
    if signals.number:
        left = counted(len(state.waiting), "run")
        typer.echo(f"Stopped and saved; {left} left. Run the same command to resume.", err=True)
        return 128 + signals.number
    typer.echo(f"Finished: {len(state.done)} of {counted(len(runs), 'run')}.", err=True)
    return 1 if state.failed else 0


def _engine(kind: str, address: str | None, device: str | None, ahead: int) -> Engine:
    if kind == "ray":
        from roadmap.sweep.ray_engine import RayEngine

        return RayEngine(address, device=device)
    import torch

    from roadmap.device import choose_device
    from roadmap.sweep.engine import LocalEngine

    uses_gpus = choose_device(device).type == "cuda"
    return LocalEngine(range(torch.cuda.device_count()) if uses_gpus else (), ahead=ahead)
