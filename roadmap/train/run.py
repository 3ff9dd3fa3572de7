"""One run from settings to scores, including resuming after interruptions."""

from __future__ import annotations

import dataclasses
import json
import os
import threading
from collections.abc import Iterable
from datetime import datetime, timezone
from typing import Any

import torch

from models.config import ConfigError, ModelConfig
from models.kernels.depthwise import depthwise_used
from models.network import ModernResNet
from roadmap.errors import RefusedError
from roadmap.measure.throughput import best_device
from roadmap.runs.folders import runs_folder
from roadmap.runs.record import RunPoint, RunRecord, RunStart
from roadmap.train.checks import check_network
from roadmap.train.data.batches import Data, DataError, open_data
from roadmap.train.data.sources import open_source
from roadmap.train.distributed import World, joined
from roadmap.train.fine_tune import read_start
from roadmap.train.loop import Training
from roadmap.train.machine import device_name, prepare_device, reproducible, versions
from roadmap.train.metrics import Display, check_tensorboard
from roadmap.train.opening import locked, open_run, turns_images
from roadmap.train.recorder import Recorder
from roadmap.train.settings import Settings, trained_config
from roadmap.train.stopping import Signals
from roadmap.train.stopwatch import Stopwatch
from roadmap.train.trainer import Trainer


def train(
    settings: Settings,
    notes: Iterable[str] = (),
    *,
    quiet: bool = False,
    turn: threading.Event | None = None,
) -> dict[str, Any]:
    """Train a run, or resume the one in its folder; return the content of its run.json.

    Under ``torchrun``, every process calls it. ``notes`` are printed once data and recipe are
    valid; ``quiet`` suppresses all output. If several runs share a device, each gets a ``turn``: it
    loads its data and compiles its network at once, and trains when the event is set.
    Raises ``RefusedError`` before anything has started; later ``NonFiniteError``,
    ``InterruptedRunError`` (saved) or another ``TrainingError``, with the last good checkpoint
    intact.
    """
    if settings.tensorboard:
        check_tensorboard()
    kind = settings.device or best_device()
    local_rank = int(os.environ.get("LOCAL_RANK", "0"))
    with (
        reproducible(prepare_device(kind, local_rank)) as device,
        joined(device.type) as world,
        Display(world.is_main and not quiet) as display,
        Signals() as signals,
    ):
        return _train(settings, notes, device, world, display, signals, turn).to_json()


def _train(
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
            exif_orientation=world.share(lambda: turns_images(folder)),
        )
        data.check_batch(recipe.batch_size, world.size)
        begin = read_start(settings.start) if settings.start else None
        start = begin and begin.recorded(data.info.classes)
        config = trained_config(settings) if begin is None else begin.config
        config = config.replace(
            stochastic_depth=recipe.stochastic_depth,
            num_classes=data.info.num_classes,
            in_channels=data.info.channels,
        )
        check_network(
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
    with locked(folder, world, display.say):
        record, checkpoint = open_run(
            folder,
            new_record(settings, config, data, device, world, start),
            data,
            world,
            accept=settings.accept_changed_data,
            say=display.say,
        )
        if record.status == "finished":
            display.say(f"this run is already finished in {folder}: nothing to do")
            return record
        recorder = Recorder(
            folder,
            record,
            Stopwatch(device, world),
            world,
            display,
            subject=settings.subject,
            checkpoint_every=settings.checkpoint_every,
            tensorboard=settings.tensorboard,
        )
        torch.manual_seed(settings.seed)
        network = ModernResNet(config)
        if begin is not None and checkpoint is None:
            display.say(begin.load_into(network, data.info.classes))
        trainer = Trainer(
            network,
            recipe,
            steps_per_epoch=recorder.steps_per_epoch,
            device=device,
            seed=settings.seed,
            precision=record.precision,
            compiled=settings.compiled,
            micro_batch=settings.micro_batch,
            world=world,
            sync_batch_norm=settings.sync_batch_norm,
            start=settings.start,
        )
        depthwise, kernels = depthwise_used(trainer.model, device)
        recorder.note(depthwise=depthwise)
        if device.type == "cuda":
            display.say(kernels)
        return Training(trainer, data, recorder, signals, turn).run(checkpoint)


def new_record(
    settings: Settings,
    config: ModelConfig,
    data: Data,
    device: torch.device,
    world: World,
    start: RunStart | None = None,
) -> RunRecord:
    """Return the record of a run before it starts, at ``start`` or at random weights."""
    precision = settings.precision or ("bf16" if device.type == "cuda" else "float32")
    recipe = dataclasses.asdict(settings.recipe)
    return RunRecord(
        status="running",
        roadmap=settings.roadmap,
        step=None if start else settings.step,
        start=start,
        point=RunPoint(**settings.point) if settings.point else None,
        recipe_name=settings.recipe_name,
        # As read back from JSON: lists instead of tuples.
        config=json.loads(json.dumps(config.to_dict())),
        recipe=json.loads(json.dumps(recipe)),
        **data.info.record_fields(),
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
