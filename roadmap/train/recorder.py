"""What a run writes and shows: run.json, metrics.csv, checkpoints, weights, progress."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from models.files import weights_content
from roadmap.device import device_name, versions
from roadmap.errors import InterruptedRunError, TrainingError
from roadmap.files import write_bytes, write_csv
from roadmap.runs.metrics import COLUMNS, METRICS
from roadmap.runs.record import RunPoint, RunRecord, RunStart, today, write_record
from roadmap.text import counted
from roadmap.train.checkpoint import last_step, save_checkpoint
from roadmap.train.data.batches import Data
from roadmap.train.display import Display
from roadmap.train.distributed import World
from roadmap.train.live import LiveFigures
from roadmap.train.settings import Settings
from roadmap.train.stopwatch import Stopwatch
from roadmap.train.trackers import Trackers
from roadmap.train.trainer import Sums, Trainer


def new_record(
    settings: Settings,
    identity: dict[str, Any],
    data: Data,
    start: RunStart | None = None,
) -> RunRecord:
    """Return the record of a run before it starts, at ``start`` or at random weights.

    ``identity`` is what ``settings.identity`` returns for its network and device.
    """
    info = data.info
    return RunRecord(
        **identity,
        status="running",
        start=start,
        point=RunPoint(**settings.point) if settings.point else None,
        recipe_name=settings.recipe_name,
        data=info.name,
        data_sha256=info.sha256,
        classes=info.num_classes,
        class_names=info.classes and list(info.classes),
        train_images=info.num_train,
        val_images=info.num_val,
        train_split=info.splits[0],
        val_split=info.splits[1],
        exif_orientation=info.exif_orientation,
        compiled=settings.compiled,
        device=device_name(data.device),
        processes=data.world.size,
        steps_per_epoch=data.steps_per_epoch,
        versions=versions(),
        date=today(),
        wall_seconds=None,
    )


class Recorder:
    """Write a run's folder and show its progress on the main process; every process calls every
    method.

    ``record`` is the content of run.json and ``history`` the rows of metrics.csv; ``stopwatch``
    measures what they record. ``subject`` names the run in messages, and ``checkpoint_every`` is in
    seconds. Raises ``TrainingError`` if something cannot be written.
    """

    def __init__(
        self,
        folder: Path,
        record: RunRecord,
        stopwatch: Stopwatch,
        world: World,
        display: Display,
        *,
        subject: str,
        checkpoint_every: float,
        trackers: Sequence[str],
    ):
        self.folder = folder
        self.checkpoints = folder / "checkpoints"
        self.record = record
        self.stopwatch = stopwatch
        self.history: list[dict[str, Any]] = []
        self._world, self._display, self._subject = world, display, subject
        self._checkpoint_every = checkpoint_every
        self._tracker_names = trackers if world.is_main else ()
        self._trackers: Trackers | None = None
        self._live: LiveFigures | None = None
        self._saved = time.perf_counter()

    def resume(self, state: dict[str, Any]) -> None:
        """Continue after the checkpoint with this ``state``."""
        self.history = state["history"]
        self.stopwatch.restore(state)

    def begin(self, step: int, total_steps: int) -> None:
        """Announce the run and start to show its progress, also in the tools requested."""
        self._saved = time.perf_counter()
        self._trackers = Trackers(
            self._tracker_names, self.folder, self.record, self.history, self._display.say
        )
        record, recipe = self.record, self.record.recipe
        steps_per_epoch = total_steps // recipe["epochs"]
        if step:
            self._display.say(f"resuming after step {step} of {total_steps}")
        self._display.say(
            f"{self._subject} on {record.data}, {counted(recipe['epochs'], 'epoch')} of "
            f"{counted(steps_per_epoch, 'step')} of "
            f"{counted(recipe['batch_size'], 'image')}, {record.device}, {record.precision}: "
            f"{self.folder}"
        )
        self._display.begin(total_steps, step)
        if self._world.is_main:
            self._live = LiveFigures(self.folder, step, total_steps, steps_per_epoch)

    def progress(self, step: int, sums: Sums) -> None:
        """Show the progress after ``step`` steps, with the epoch's ``sums`` so far."""
        if not sums.images:
            return
        speed = self.record.recipe["batch_size"] * self.stopwatch.steps_per_second(step)
        self._display.update(
            step,
            len(self.history) + 1,
            self.record.recipe["epochs"],
            sums.loss / sums.images,
            100 * sums.correct / sums.images,
            speed,
        )
        if self._live is not None:
            self._live.note(step, sums, speed)

    def close(self) -> None:
        """Report how the run ended to the tools requested."""
        if self._trackers is not None:
            status = self.record.status
            self._trackers.close("failed" if status == "running" else status)

    @property
    def is_due(self) -> bool:
        """Whether the next checkpoint is due."""
        return time.perf_counter() - self._saved >= self._checkpoint_every

    def leave_out(self, seconds: float) -> None:
        """Exclude the last ``seconds``, spent waiting, from all times."""
        self.stopwatch.leave_out(seconds)
        self._saved += seconds

    def save(self, trainer: Trainer, step: int) -> None:
        """Write the checkpoint of ``step``."""
        tensors = trainer.state()
        state = {
            "identity": self.record.identity(),
            "steps_per_epoch": self.record.steps_per_epoch,
            "data_changes": list(self.record.data_changes),
            "step": step,
            "history": self.history,
            **self.stopwatch.state(step),
        }

        def write() -> None:
            try:
                save_checkpoint(self.checkpoints, step, tensors, state)
            except OSError as error:
                raise TrainingError(
                    f"the checkpoint of step {step} cannot be written to "
                    f"{self.checkpoints}: {error.strerror or error}. {self.last_checkpoint()}"
                ) from None

        self._world.share(write)
        self._saved = time.perf_counter()

    def write_epoch(self, row: dict[str, Any]) -> None:
        """Add a row to metrics.csv."""
        self.history.append(row)
        self._world.share(lambda: self._write(self._write_metrics))
        if self._trackers is not None:
            self._trackers.write(row)
        self._display.epoch_line(row, self.record.recipe["epochs"], self.record.classes)

    def finish(
        self, trainer: Trainer, step: int, scores: dict[str, Any], joules: float | None
    ) -> RunRecord:
        """Write the weights, metrics.csv and, last, run.json; return the record."""
        self.record = self._ended("finished", step, scores=scores, energy_joules=joules)
        self._world.share(lambda: self._write(lambda: self._write_results(trainer)))
        if self._live is not None:
            self._live.remove()
        return self.record

    def write_end(self, error: TrainingError, step: int) -> None:
        """Record in run.json how the run stopped, unless the disk is full."""
        status = "interrupted" if isinstance(error, InterruptedRunError) else "failed"
        self.record = self._ended(status, step, reason=str(error))
        if self._world.is_main:
            with suppress(OSError):
                write_record(self.folder, self.record)

    def _ended(self, status: str, step: int, **more: Any) -> RunRecord:
        """Return the record after ``step`` steps, with today's date."""
        return dataclasses.replace(
            self.record,
            status=status,
            steps=step,
            date=today(),
            wall_seconds=self.stopwatch.wall_seconds(),
            **more,
        )

    def last_checkpoint(self) -> str:
        """Return a sentence without its period."""
        step = last_step(self.checkpoints)
        if step is None:
            return "No checkpoint has been written yet"
        return f"The last good checkpoint is from step {step}, in {self.checkpoints}"

    def _write(self, write: Callable[[], None]) -> None:
        try:
            write()
        except OSError as error:
            raise TrainingError(
                f"cannot write to {self.folder}: {error.strerror or error}. "
                f"{self.last_checkpoint()}"
            ) from None

    def _write_metrics(self) -> None:
        write_csv(self.folder / METRICS, COLUMNS, self.history)

    def _write_results(self, trainer: Trainer) -> None:
        data = self.record.data_json()
        names = data.pop("class_names")
        facts = {
            "roadmap": self.record.roadmap,
            "step": self.record.step,
            "recipe": dict(self.record.recipe),
            "data": data,
            **({} if names is None else {"class_names": names}),
        }
        networks = {"weights": trainer.model}
        if trainer.average is not None:
            networks["weights_ema"] = trainer.average.module
        for name, network in networks.items():
            path = self.folder / f"{name}.safetensors"
            write_bytes(path, *weights_content(network.state_dict(), trainer.config, **facts))
        self._write_metrics()
        write_record(self.folder, self.record)
