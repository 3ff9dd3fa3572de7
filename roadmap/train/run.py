"""One run from settings to scores, including resuming after interruptions."""

from __future__ import annotations

import dataclasses
import os
import threading
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

import torch

from models.config import ConfigError, ModelConfig
from models.kernels.depthwise import depthwise_used
from models.network import ModernResNet
from roadmap.device import best_device, memory_explained, prepare_device, reproducible
from roadmap.errors import RefusedError
from roadmap.runs.folders import runs_folder
from roadmap.runs.record import RunRecord
from roadmap.train.checks import check_network
from roadmap.train.closing import closing_line
from roadmap.train.data.batches import Data, DataError, open_data
from roadmap.train.data.class_names import ClassNamesError
from roadmap.train.data.sources import open_source
from roadmap.train.display import Display
from roadmap.train.distributed import World, joined
from roadmap.train.fine_tune import StartWeights, read_start
from roadmap.train.loop import Training
from roadmap.train.opening import conventions, locked, open_run
from roadmap.train.recorder import Recorder, new_record
from roadmap.train.settings import Settings, trained_config, unchanged_recipe
from roadmap.train.small_sets import repeated, small_set
from roadmap.train.stopping import Signals
from roadmap.train.stopwatch import Stopwatch
from roadmap.train.trackers import check_trackers, send_finished
from roadmap.train.trainer import Trainer

TOO_SMALL = (
    "the device's memory is too small for this network and data: end other programs that use it, "
    "or choose another --device or a smaller network"
)


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
    check_trackers(settings.trackers)
    kind = settings.device or best_device()
    local_rank = int(os.environ.get("LOCAL_RANK", "0"))
    with (
        reproducible(prepare_device(kind, local_rank)) as device,
        joined(device.type) as world,
        Display(world.is_main and not quiet) as display,
        Signals() as signals,
        memory_explained(TOO_SMALL),  # before the first batch; later, Training says more
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
    opened = _open(settings, device, world)
    for note in (*notes, *opened.notes):
        display.say(note)
    folder, data, begin = opened.folder, opened.data, opened.begin
    with locked(folder, world, display.say):
        record, checkpoint = open_run(
            folder,
            opened.record,
            world,
            accept=settings.accept_changed_data,
            say=display.say,
        )
        if record.status == "finished":
            display.say(f"this run is already finished in {folder}: nothing to do")
            if world.is_main:
                send_finished(settings.trackers, folder, record, display.say)
            display.say(closing_line(record, folder))
            return record
        stopwatch = Stopwatch(device, world)
        torch.manual_seed(settings.seed)
        network = ModernResNet(opened.config)
        if begin is not None and checkpoint is None:
            display.say(begin.load_into(network, data.info.classes))
        assert record.steps_per_epoch is not None  # only in records of old, finished runs
        trainer = Trainer(
            network,
            settings.recipe,
            steps_per_epoch=record.steps_per_epoch,
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
        if device.type == "cuda":
            display.say(kernels)
        recorder = Recorder(
            folder,
            dataclasses.replace(record, depthwise=depthwise),
            stopwatch,
            world,
            display,
            subject=settings.subject,
            checkpoint_every=settings.checkpoint_every,
            trackers=settings.trackers,
        )
        record = Training(trainer, data, recorder, signals, turn).run(checkpoint)
        display.say(closing_line(record, folder))
        return record


class _Opened(NamedTuple):
    """What a run needs besides its settings; ``record`` is that of a new run."""

    folder: Path
    data: Data
    begin: StartWeights | None
    config: ModelConfig
    record: RunRecord
    notes: tuple[str, ...]


def _open(settings: Settings, device: torch.device, world: World) -> _Opened:
    """Open the data and the weights to start from, and check that the network can be trained."""
    recipe = settings.recipe
    try:
        source = found = open_source(settings.data)
        folder = settings.output or runs_folder() / found.folder / settings.folder_name
        exif_orientation, class_names = world.share(lambda: conventions(folder))
        with suppress(ClassNamesError):  # reported when the folder is opened
            source = found.ordered(class_names, str(folder))
        data = open_data(
            source,
            recipe,
            device=device,
            seed=settings.seed,
            scale=settings.scale,
            workers=settings.workers,
            exif_orientation=exif_orientation,
            world=world,
        )
        begin = read_start(settings.start) if settings.start else None
        start = begin and begin.recorded(data.info.classes)
        config = trained_config(settings) if begin is None else begin.config
        config = config.replace(
            stochastic_depth=recipe.stochastic_depth,
            num_classes=data.info.num_classes,
            in_channels=data.info.channels,
        )
        identity = settings.identity(config, device.type)
        check_network(
            config,
            recipe,
            micro_batch=settings.micro_batch,
            processes=world.size,
            synchronized=settings.sync_batch_norm,
        )
    except (DataError, ConfigError) as error:
        raise RefusedError(str(error)) from None
    record = new_record(settings, identity, data, start)
    notes = source.said
    if source is not found:
        notes += (f"{found.name} has the classes in a different order; they are matched by name",)
    notes += _small_set(settings, data.info.num_train)
    return _Opened(folder, data, begin, config, record, notes)


def _small_set(settings: Settings, images: int) -> tuple[str, ...]:
    """Return what to say if the set is too small for the recipe."""
    recipe, notes = settings.recipe, []
    if settings.start is not None:
        name = settings.recipe_name or "fine_tune"
        default = unchanged_recipe(settings.roadmap, settings.step, name, settings.scale)
        notes += [note for note in [small_set(recipe, default, images)] if note]
    if images < recipe.batch_size and not any("--batch-size" in note for note in notes):
        notes.append(repeated(recipe, images))
    return tuple(notes)
