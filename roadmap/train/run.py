"""One run from its settings to its scores, through interruptions."""

from __future__ import annotations

import dataclasses
import json
import os
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, nullcontext, suppress
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, NoReturn

import torch
from torch import Tensor

from models.config import ConfigError, ModelConfig
from models.depthwise import depthwise_used
from models.files import weights_content
from models.spec import network_spec, placed_layers
from roadmap.files import write_bytes, write_csv
from roadmap.measure.throughput import best_device
from roadmap.text import counted
from roadmap.train.batch_norm import check_batch_norm
from roadmap.train.checkpoint import Checkpoint, last_step, save_checkpoint
from roadmap.train.damage import ImageError
from roadmap.train.data import Data, DataError, open_data
from roadmap.train.distributed import World, join, leave
from roadmap.train.errors import (
    InterruptedRunError,
    NonFiniteError,
    RefusedError,
    TrainingError,
)
from roadmap.train.evaluate import Scores, evaluate
from roadmap.train.machine import (
    EnergyMeter,
    device_name,
    out_of_memory,
    prepare_device,
    reproducible,
    versions,
)
from roadmap.train.metrics import COLUMNS, Display, EventFiles, check_tensorboard
from roadmap.train.opening import ACCEPT, Folder, Opening, data_facts, identity
from roadmap.train.record import write_record
from roadmap.train.schedule import learning_rate
from roadmap.train.settings import Settings, check_seed, runs_folder, trained_config
from roadmap.train.sources import open_source
from roadmap.train.stopping import FolderLock, Signals
from roadmap.train.trainer import Trainer


def train(
    settings: Settings,
    notes: Iterable[str] = (),
    *,
    quiet: bool = False,
    turn: threading.Event | None = None,
) -> dict[str, Any]:
    """Train as ``settings`` say, or continue where the folder's run stopped; returns run.json.

    Under ``torchrun`` every process calls it. ``notes`` are said once data and recipe fit;
    ``quiet`` says nothing at all. Once loaded and compiled, the run waits for ``turn``.
    Raises ``RefusedError`` before anything has started; ``NonFiniteError``,
    ``InterruptedRunError`` (saved) or another ``TrainingError`` on the way, with the last good
    checkpoint intact.
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
            return _open_run(settings, notes, device, world, display, signals, turn)
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
) -> dict[str, Any]:
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
        # Asked for here, a batch that the processes cannot share is refused before training.
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
        lock = FolderLock(folder) if world.is_main else nullcontext()
        world.share(lambda: _entered(stack, lock, folder))
        if world.is_main and not lock.exists:
            display.say(
                f"{folder} is on a file system without locks: let no other process train in it"
            )
        run = Run(settings, config, data, folder, device, world, display, signals, turn)
        return run.run()


def _turns_images(folder: Path) -> bool:
    """Whether the run in ``folder`` turns images as their EXIF orientation tag says.

    A new one does; one that does not record it was trained on the images as they are stored.
    """
    checkpoints: list[Path] = []
    with suppress(OSError):  # that it cannot be read is said where it is entered
        checkpoints = sorted((folder / "checkpoints").glob("step-*.json"), reverse=True)
    records: list[tuple[Path, tuple[str, ...]]] = [(folder / "run.json", ("data",))]
    records += [(path, ("state", "identity", "data")) for path in checkpoints]
    for path, keys in records:
        # What is damaged is named later, where it is read whole.
        with suppress(OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError):
            data = json.loads(path.read_bytes())
            for key in keys:
                data = data[key]
            return bool(data.get("exif_orientation", False))
    return True


def _check_image_size(config: ModelConfig, side: int) -> None:
    try:
        list(placed_layers(network_spec(config), side))
    except ValueError as error:
        raise RefusedError(f"--image-size: at {side} pixels {error}") from None


def _entered(stack: ExitStack, lock: Any, folder: Path) -> None:
    try:
        stack.enter_context(lock)
    except OSError as error:
        raise RefusedError(f"cannot write to {folder}: {error.strerror}") from None


class Run:
    """A run in its folder: ``run.json``, ``metrics.csv``, ``checkpoints/``, at the end weights."""

    def __init__(
        self,
        settings: Settings,
        config: ModelConfig,
        data: Data,
        folder: Path,
        device: torch.device,
        world: World,
        display: Display,
        signals: Signals,
        turn: threading.Event | None = None,
    ):
        self.settings = settings
        self.recipe = settings.recipe
        self.config = config
        self.data = data
        self.folder = folder
        self.checkpoints = folder / "checkpoints"
        self.device = device
        self.world = world
        self.display = display
        self.signals = signals
        self.turn = turn
        self.precision = settings.precision or ("bf16" if device.type == "cuda" else "float32")
        self.steps_per_epoch = data.steps_per_epoch(self.recipe.batch_size)
        self.total_steps = self.recipe.epochs * self.steps_per_epoch
        self.facts = self._facts()
        self.step = 0
        self.history: list[dict[str, Any]] = []
        self.events: EventFiles | None = None

    def run(self) -> dict[str, Any]:
        """Train to the end; returns run.json's content."""
        inside = self._folder()
        opening = self.world.share(lambda: self._claim(inside))
        if opening.finished is not None:
            self.display.say(f"{self.folder} holds this run, finished: nothing to do")
            return opening.finished
        self._follow(opening)
        self.meter = EnergyMeter(self.device)
        self.begun = time.perf_counter()
        self.trainer = Trainer(
            self.config,
            self.recipe,
            steps_per_epoch=self.steps_per_epoch,
            device=self.device,
            seed=self.settings.seed,
            precision=self.precision,
            compiled=self.settings.compiled,
            micro_batch=self.settings.micro_batch,
            world=self.world,
            sync_batch_norm=self.settings.sync_batch_norm,
        )
        self.facts["depthwise"], kernels = depthwise_used(self.trainer.model, self.device)
        if self.device.type == "cuda":
            self.display.say(kernels)
        self.compiles = self.settings.compiled
        self._restore(opening.state, inside.checkpoint)
        if self.settings.tensorboard and self.world.is_main:
            self.events = EventFiles(self.folder / "events", len(self.history) + 1)
        try:
            return self._train()
        except TrainingError as error:
            self._record_end(error)
            raise
        finally:
            if self.events is not None:
                self.events.close()

    # -- the way through the epochs ---------------------------------------------------------

    def _train(self) -> dict[str, Any]:
        self.display.say(
            f"{self.settings.subject} on {self.data.info.name}, "
            f"{counted(self.recipe.epochs, 'epoch')} of {counted(self.steps_per_epoch, 'step')} of "
            f"{counted(self.recipe.batch_size, 'image')}, {device_name(self.device)}, "
            f"{self.precision}: {self.folder}"
        )
        self.display.begin(self.total_steps, self.step)
        if not self.compiles:
            self._await_turn()
        while True:
            epoch = self.step // self.steps_per_epoch
            if len(self.history) < epoch:
                self._finish_epoch(epoch)
            if self.step == self.total_steps:
                return self._finish()
            self._train_epoch()

    def _train_epoch(self) -> None:
        epoch, done = divmod(self.step, self.steps_per_epoch)
        if done == 0:
            self.trainer.begin_epoch()
            self.epoch_before = 0.0
        self._begin_timing()
        for images, targets in self._batches(epoch, done):
            try:
                self.trainer.step(self.step, images, targets)
            except (RuntimeError, MemoryError) as error:
                if not out_of_memory(error):
                    raise
                raise self._out_of_memory("") from None
            self.step += 1
            if self.compiles:
                self._leave_out_compiling()
            self._after_step()
        # Waits for the device, so that the time is all of the epoch's.
        if self.trainer.sums().bad_step is not None:
            self._report_bad_step()
        self.epoch_before, self.epoch_begun = self._epoch_seconds(), None

    def _await_turn(self) -> None:
        """Wait until the device is this run's; its time does not count that, its energy begins."""
        begun = time.perf_counter()
        while self.turn and not self.signals.number and not self.turn.wait(0.2):
            pass
        waited = time.perf_counter() - begun
        self.begun, self.saved = self.begun + waited, self.saved + waited
        if self.epoch_begun is not None:
            self.epoch_begun += waited
        self.meter = EnergyMeter(self.device)

    def _begin_timing(self) -> None:
        self.epoch_begun, self.first_step, self.untimed_steps = time.perf_counter(), self.step, 0

    def _leave_out_compiling(self) -> None:
        """Take the time of a process's first step, in which it compiles, for that of the others."""
        self.compiles = False
        self._await_turn()
        if self.step % self.steps_per_epoch:  # there are others in this epoch
            self.trainer.sums()  # waits for the device
            self._begin_timing()
            self.untimed_steps = 1

    def _batches(self, epoch: int, start: int) -> Iterator[tuple[Tensor, Tensor]]:
        batches = iter(
            self.data.train_batches(
                epoch,
                self.recipe.batch_size,
                start=start,
                rank=self.world.rank,
                world_size=self.world.size,
                steps=self.steps_per_epoch,
            )
        )
        try:
            while True:
                try:
                    batch = next(batches)
                except StopIteration:
                    return
                except (RuntimeError, MemoryError) as error:
                    if not out_of_memory(error):
                        raise
                    raise self._out_of_memory(", with augmentation beside it") from None
                except (DataError, OSError) as error:
                    what = f"training data failed at step {self.step}"
                    raise self._unreadable(what, error) from None
                yield batch
        finally:
            if hasattr(batches, "close"):
                batches.close()

    def _after_step(self) -> None:
        """Show progress; agree with the other processes on whether to save or stop."""
        known = self.trainer.known_sums()
        if known.images:
            self.display.update(
                self.step,
                (self.step - 1) // self.steps_per_epoch + 1,
                self.recipe.epochs,
                known.loss / known.images,
                100 * known.correct / known.images,
                (self.step - self.first_step)
                * self.recipe.batch_size
                / (time.perf_counter() - self.epoch_begun),
            )
        due = time.perf_counter() - self.saved >= self.settings.checkpoint_every
        bad, due, stop = self.world.max(
            [known.bad_step is not None, due and self.world.is_main, self.signals.number]
        )
        if bad:
            self._report_bad_step()
        if due or stop:
            self._save()
        if stop:
            self._stop(stop)

    def _finish_epoch(self, epoch: int) -> None:
        """Score the epoch that has just been trained, and write its row."""
        sums = self.trainer.sums()
        loss, correct, images = self.world.sum([sums.loss, sums.correct, sums.images])
        seconds = self.epoch_before
        raw = self._evaluate(self.trainer.model)
        average = self.trainer.average and self._evaluate(self.trainer.average.module)
        row = {
            "epoch": epoch,
            "lr": learning_rate(self.recipe, self.step - 1, self.steps_per_epoch),
            "train_loss": loss / images,
            "train_top1": 100 * correct / images,
            "val_loss": raw.loss,
            "top1": raw.top1,
            "top5": raw.top5,
            "ema_val_loss": average and average.loss,
            "ema_top1": average and average.top1,
            "ema_top5": average and average.top5,
            "images_per_s": images / seconds,
            "seconds": seconds,
        }
        self.history.append(row)
        self._write_metrics()
        if self.events is not None:
            self.events.write(row)
        self.display.epoch_line(row, self.recipe.epochs)

    def _evaluate(self, network: torch.nn.Module) -> Scores:
        def check_signals(_images: int) -> None:
            if self.signals.number and self.world.size == 1:
                self._save()
                self._stop(self.signals.number)

        try:
            return evaluate(
                network,
                self.data,
                device=self.device,
                precision=self.precision,
                world=self.world,
                on_batch=check_signals,
            )
        except (RuntimeError, MemoryError) as error:
            if not out_of_memory(error):
                raise
            raise self._out_of_memory(", with validation beside it") from None
        except (DataError, OSError) as error:
            raise self._unreadable("validation data failed", error) from None

    def _finish(self) -> dict[str, Any]:
        joules = self._joules()  # first: a sweep's next run may begin while this one saves
        self._save()
        last = self.history[-1]
        if last["top1"] is None or (self.trainer.average and last["ema_top1"] is None):
            raise NonFiniteError(
                "after the last epoch the loss on the validation images is not finite, so the run "
                f"has no scores: the weights are too large. {self._last_checkpoint()}"
            )
        scores = {name: last[name] for name in COLUMNS[4:10]}
        content = self._content("finished", joules, scores)
        self.world.share(lambda: self._write_results(content))
        return content

    # -- saving and restoring ---------------------------------------------------------------

    def _save(self) -> None:
        """Write a checkpoint, once sure that it is a good one."""
        if self.trainer.sums().bad_step is not None:
            self._report_bad_step()
        tensors = self.trainer.state()
        state = {
            "identity": identity(self.facts),
            "steps_per_epoch": self.steps_per_epoch,
            "data_changes": self.facts.get("data_changes", []),
            "step": self.step,
            "history": self.history,
            "epoch_seconds": self._epoch_seconds(),
            "wall_seconds": self._wall_seconds(),
            "energy_joules": self._joules(),
        }

        def write() -> None:
            try:
                save_checkpoint(self.checkpoints, self.step, tensors, state)
            except OSError as error:
                raise TrainingError(
                    f"the checkpoint of step {self.step} cannot be written to "
                    f"{self.checkpoints}: {error.strerror or error}. {self._last_checkpoint()}"
                ) from None

        self.world.share(write)
        self.saved = time.perf_counter()

    def _folder(self) -> Folder:
        accept = self.settings.accept_changed_data
        return Folder(self.folder, self.facts, self.data, accept, self.display.say)

    def _claim(self, inside: Folder) -> Opening:
        """Make the folder this run's, on the main process."""
        try:
            opening = inside.open()
            if opening.finished is None:
                self._follow(opening)
                write_record(self.folder, self._content("running", None, None))
        except OSError as error:
            raise RefusedError(f"cannot write to {self.folder}: {error.strerror}") from None
        return opening

    def _follow(self, opening: Opening) -> None:
        """Go on with the epochs and the classes of the run that is continued."""
        info, names = self.data.info, opening.class_names
        if names is not None and info.named and list(info.class_names) != names:
            self.data.reorder(names, str(self.folder))  # as the main process has done
        self.steps_per_epoch = opening.steps_per_epoch or self.steps_per_epoch
        self.total_steps = self.recipe.epochs * self.steps_per_epoch
        self.facts["steps_per_epoch"] = self.steps_per_epoch
        self.facts["data"] = data_facts(self.data, names)
        if opening.data_changes:
            self.facts["data_changes"] = opening.data_changes

    def _restore(self, state: dict[str, Any] | None, read: Checkpoint | None) -> None:
        """Take over the newest whole checkpoint, if there is one; the main process has ``read``."""
        self.saved = time.perf_counter()
        self.epoch_begun: float | None = None  # None outside training
        self.epoch_before = self.wall_before = 0.0
        self.joules_before: float | None = 0.0
        if state is None:
            return
        self.trainer.load_state(self.world.share_tensors(read and read.tensors))
        self.step = state["step"]
        self.history = state["history"]
        self.epoch_before = state["epoch_seconds"]
        self.wall_before = state["wall_seconds"]
        self.joules_before = state["energy_joules"]
        self.display.say(f"continuing after step {self.step} of {self.total_steps}")

    # -- what is written down ---------------------------------------------------------------

    def _facts(self) -> dict[str, Any]:
        facts = {
            "roadmap": self.settings.roadmap,
            "step": self.settings.step,
            **({"point": dict(self.settings.point)} if self.settings.point else {}),
            "recipe_name": self.settings.recipe_name,
            "config": self.config.to_dict(),
            "recipe": dataclasses.asdict(self.recipe),
            "data": data_facts(self.data),
            "seed": self.settings.seed,
            "scale": self.settings.scale,
            "precision": self.precision,
            "micro_batch": self.settings.micro_batch,
            "sync_batch_norm": self.settings.sync_batch_norm,
            "compiled": self.settings.compiled,
            "device_type": self.device.type,
            "device": device_name(self.device),
            "processes": self.world.size,
            "steps_per_epoch": self.steps_per_epoch,
            "versions": versions(),
        }
        return json.loads(json.dumps(facts))  # as it will be read back: lists for tuples

    def _content(
        self, status: str, joules: float | None, scores: dict[str, Any] | None
    ) -> dict[str, Any]:
        """run.json. ``wall_seconds`` and ``energy_joules`` are sums over all continuations."""
        return {
            "status": status,
            **self.facts,
            "steps": self.step,
            "date": datetime.now(timezone.utc).date().isoformat(),
            "wall_seconds": None if status == "running" else self._wall_seconds(),
            "energy_joules": joules,
            "scores": scores,
        }

    def _write_results(self, content: dict[str, Any]) -> None:
        facts = {name: content[name] for name in ("roadmap", "step", "recipe", "data")}
        if content["data"]["class_names"] is not None:
            facts["class_names"] = content["data"]["class_names"]
        facts["data"] = {n: v for n, v in content["data"].items() if n != "class_names"}
        networks = {"weights": self.trainer.model}
        if self.trainer.average is not None:
            networks["weights_ema"] = self.trainer.average.module
        try:
            for name, network in networks.items():
                path = self.folder / f"{name}.safetensors"
                write_bytes(path, *weights_content(network.state_dict(), self.config, **facts))
            write_csv(self.folder / "metrics.csv", COLUMNS, self.history)
            write_record(self.folder, content)
        except OSError as error:
            raise self._unwritable(error) from None

    def _write_metrics(self) -> None:
        def write() -> None:
            try:
                write_csv(self.folder / "metrics.csv", COLUMNS, self.history)
            except OSError as error:
                raise self._unwritable(error) from None

        self.world.share(write)

    def _record_end(self, error: TrainingError) -> None:
        """Say in run.json how the run stopped; a full disk may prevent even that."""
        status = "interrupted" if isinstance(error, InterruptedRunError) else "failed"
        if self.world.is_main:
            content = {**self._content(status, None, None), "reason": str(error)}
            with suppress(OSError):
                write_record(self.folder, content)

    # -- ends -------------------------------------------------------------------------------

    def _stop(self, number: int) -> NoReturn:
        raise InterruptedRunError(
            f"stopped and saved after step {self.step} of {self.total_steps}: the same command "
            "continues",
            number,
        )

    def _report_bad_step(self) -> NoReturn:
        """Go through the first bad step's batch again, with the weights it had."""
        number = self.trainer.sums().bad_step
        epoch, place = divmod(number, self.steps_per_epoch)
        images, _ = next(self._batches(epoch, place))
        places = self.world.gather(self.trainer.first_bad_layer(number, images))
        where = next(filter(None, places), "every layer's output is finite, the loss alone is not")
        rate = learning_rate(self.recipe, number, self.steps_per_epoch)
        raise NonFiniteError(
            f"the loss of step {number} (epoch {epoch + 1}) is not finite, at learning rate "
            f"{rate:g}: {where}. {self._last_checkpoint()}"
        )

    def _last_checkpoint(self) -> str:
        step = last_step(self.checkpoints)
        if step is None:
            return "No checkpoint had been written yet"
        return f"The last good checkpoint is that of step {step}, in {self.checkpoints}"

    def _unreadable(self, what: str, error: Exception) -> TrainingError:
        found = self.data.all_damaged(error)
        way_out = ""
        if isinstance(found, ImageError):
            way_out = f". Repair or remove what is damaged, then continue with {ACCEPT}"
        return TrainingError(f"reading the {what}: {found}{way_out}. {self._last_checkpoint()}")

    def _out_of_memory(self, more: str) -> TrainingError:
        share = self.recipe.batch_size // self.world.size
        images = min(self.settings.micro_batch or share, share)
        return TrainingError(
            f"the device's memory does not hold {images} images of {self.recipe.train_size} pixels "
            f"in training{more}: set --micro-batch to a part of that. {self._last_checkpoint()}"
        )

    def _unwritable(self, error: OSError) -> TrainingError:
        return TrainingError(
            f"cannot write to {self.folder}: {error.strerror or error}. {self._last_checkpoint()}"
        )

    def _wall_seconds(self) -> float:
        return self.wall_before + time.perf_counter() - self.begun

    def _epoch_seconds(self) -> float:
        """Of training the current epoch, over its continuations."""
        if self.epoch_begun is None:
            return self.epoch_before
        seconds = time.perf_counter() - self.epoch_begun
        steps = self.step - self.first_step
        return self.epoch_before + seconds * (1 + self.untimed_steps / max(steps, 1))

    def _joules(self) -> float | None:
        """Of all processes' devices, over all continuations; None where one cannot tell."""
        joules = self.world.gather(self.meter.joules())
        if self.joules_before is None or None in joules:
            return None
        return self.joules_before + sum(joules)
