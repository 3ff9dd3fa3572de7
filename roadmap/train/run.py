"""One run from settings to scores, including resuming after interruptions."""

from __future__ import annotations

import dataclasses
import json
import os
import threading
from collections.abc import Iterable
from contextlib import ExitStack, suppress
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import torch

from models.config import ConfigError, ModelConfig
from models.spec import network_spec, placed_layers
from roadmap.files import read_json
from roadmap.measure.throughput import best_device
from roadmap.runs.folders import runs_folder
from roadmap.runs.record import RecordError, RunPoint, RunRecord, read_record
from roadmap.train.batch_norm import check_batch_norm
from roadmap.train.data.batches import Data, DataError, open_data
from roadmap.train.data.sources import open_source
from roadmap.train.distributed import World, join, leave
from roadmap.train.errors import RefusedError
from roadmap.train.loop import Training
from roadmap.train.machine import device_name, prepare_device, reproducible, versions
from roadmap.train.metrics import Display, check_tensorboard
from roadmap.train.opening import data_fields
from roadmap.train.recorder import Recorder
from roadmap.train.settings import Settings, check_seed, trained_config
from roadmap.train.stopping import FolderLock, Signals


def train(
    settings: Settings,
    notes: Iterable[str] = (),
    *,
    quiet: bool = False,
    turn: threading.Event | None = None,
) -> dict[str, Any]:
    """Train a run, or resume the one in its folder; return the record (run.json).

    Under ``torchrun``, every process calls it. ``notes`` are printed once data and recipe are
    valid; ``quiet`` suppresses all output. After loading and compiling, the run waits for ``turn``.
    Raises ``RefusedError`` before anything has started; later ``NonFiniteError``,
    ``InterruptedRunError`` (saved) or another ``TrainingError``, with the last good checkpoint
    intact.
    """
    check_seed(settings.seed)
    if settings.tensorboard:
        check_tensorboard()
    kind = settings.device or best_device()
    device = prepare_device(kind, int(os.environ.get("LOCAL_RANK", "0")))
    world = join(device.type)
    try:
        with (
            Display(world.is_main and not quiet) as display,
            Signals() as signals,
            reproducible(device),
        ):
            record = _open_run(settings, notes, device, world, display, signals, turn)
            return record.to_json()
    finally:
        leave(world)


def _open_run(
    settings: Settings,
    notes: Iterable[str],
    device: torch.device,
    world: World,
    display: Display,
    signals: Signals,
    turn: threading.Event | None,
) -> RunRecord:
    recipe = settings.recipe
    try:
        source = open_source(settings.data)
        name = f"{settings.subject}-seed{settings.seed}"
        folder = settings.output or runs_folder() / source.name / name
        data = open_data(
            source,
            recipe,
            device=device,
            seed=settings.seed,
            scale="pocket" if settings.scale == "pocket" else None,
            workers=settings.workers,
            exif_orientation=world.share(lambda: _turns_images(folder)),
        )
        # Called here so that a batch that cannot be split over the processes is refused early.
        data.train_batches(0, recipe.batch_size, rank=world.rank, world_size=world.size)
        config = trained_config(settings).replace(
            num_classes=data.info.num_classes, in_channels=data.info.channels
        )
        for side in sorted({recipe.train_size, recipe.test_size}):
            _check_image_size(config, side)
        check_batch_norm(
            config,
            recipe,
            micro_batch=settings.micro_batch,
            processes=world.size,
            synchronized=settings.sync_batch_norm,
        )
    except (DataError, ConfigError) as error:
        raise RefusedError(str(error)) from None
    for note in (*notes, *source.said):
        display.say(note)
    with ExitStack() as stack:
        lock = FolderLock(folder)  # which the main process enters
        world.share(lambda: _entered(stack, lock, folder))
        if world.is_main and not lock.exists:
            display.say(
                f"{folder} is on a file system without locks: make sure that no other process "
                "trains in it"
            )
        record = new_record(settings, config, data, device, world)
        recorder = Recorder(folder, record, settings, data, world, display)
        finished, checkpoint = recorder.open()
        if finished is not None:
            display.say(f"this run is already finished in {folder}: nothing to do")
            return finished
        training = Training(settings, config, data, recorder, device, world, display, signals, turn)
        return training.run(checkpoint)


def new_record(
    settings: Settings, config: ModelConfig, data: Data, device: torch.device, world: World
) -> RunRecord:
    """Return the record of a run before it starts."""
    precision = settings.precision or ("bf16" if device.type == "cuda" else "float32")
    recipe = dataclasses.asdict(settings.recipe)
    return RunRecord(
        status="running",
        roadmap=settings.roadmap,
        step=settings.step,
        point=RunPoint(**settings.point) if settings.point else None,
        recipe_name=settings.recipe_name,
        # As read back from JSON: lists instead of tuples.
        config=json.loads(json.dumps(config.to_dict())),
        recipe=json.loads(json.dumps(recipe)),
        **data_fields(data),
        seed=settings.seed,
        scale=settings.scale,
        precision=precision,
        micro_batch=settings.micro_batch,
        sync_batch_norm=settings.sync_batch_norm,
        compiled=settings.compiled,
        device_type=device.type,
        device=device_name(device),
        processes=world.size,
        steps_per_epoch=data.steps_per_epoch(settings.recipe.batch_size),
        versions=versions(),
        date=datetime.now(timezone.utc).date().isoformat(),
        wall_seconds=None,
    )


def _turns_images(folder: Path) -> bool:
    """Whether the run in ``folder`` rotates images by their EXIF orientation tag.

    A new run does; a run that does not record it was trained on images as stored.
    """
    checkpoints: list[Path] = []
    with suppress(OSError):  # an unreadable folder is reported when it is opened
        checkpoints = sorted((folder / "checkpoints").glob("step-*.json"), reverse=True)
    with suppress(OSError, RecordError):  # a damaged record is reported when it is opened
        if (record := read_record(folder)) is not None:
            return record.exif_orientation
    for path in checkpoints:
        with suppress(OSError, ValueError, LookupError, TypeError, AttributeError):
            data = read_json(path)["state"]["identity"]["data"]
            return bool(data.get("exif_orientation", False))
    return True


def _check_image_size(config: ModelConfig, side: int) -> None:
    try:
        list(placed_layers(network_spec(config), side))
    except ValueError as error:
        raise RefusedError(f"--image-size: at {side} pixels {error}") from None


def _entered(stack: ExitStack, lock: FolderLock, folder: Path) -> None:
    try:
        stack.enter_context(lock)
    except OSError as error:
        raise RefusedError(f"cannot write to {folder}: {error.strerror}") from None
