"""Write a run's folder: ``run.json``, ``metrics.csv``, ``checkpoints/`` and weights."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from models.config import ModelConfig
from models.files import weights_content
from roadmap.errors import InterruptedRunError, TrainingError
from roadmap.files import write_bytes, write_csv
from roadmap.runs.metrics import COLUMNS, METRICS
from roadmap.runs.record import RunRecord, write_record
from roadmap.train.checkpoint import last_step, save_checkpoint
from roadmap.train.distributed import World
from roadmap.train.metrics import Display, EventFiles
from roadmap.train.settings import Settings
from roadmap.train.stopwatch import Stopwatch
from roadmap.train.trainer import Trainer


class Recorder:
    """Write a run's folder on the main process; every process calls every method.

    ``record`` is the content of run.json and ``history`` the rows of metrics.csv. Raises
    ``TrainingError`` if something cannot be written.
    """

    def __init__(
        self,
        folder: Path,
        record: RunRecord,
        history: list[dict[str, Any]],
        settings: Settings,
        world: World,
        display: Display,
    ):
        self.folder = folder
        self.checkpoints = folder / "checkpoints"
        self.record = record
        self.history = history
        self._settings, self._world, self._display = settings, world, display
        self._events: EventFiles | None = None
        self._saved = time.perf_counter()

    @property
    def steps_per_epoch(self) -> int:
        """The number for this run; a record that is being trained always has it."""
        steps = self.record.steps_per_epoch
        assert steps is not None
        return steps

    def note(self, **fields: Any) -> None:
        """Update fields of the record."""
        self.record = dataclasses.replace(self.record, **fields)

    def begin(self) -> None:
        """Start writing TensorBoard event files, if requested."""
        self._saved = time.perf_counter()
        if self._settings.tensorboard and self._world.is_main:
            self._events = EventFiles(self.folder / "events", len(self.history) + 1)

    def close(self) -> None:
        if self._events is not None:
            self._events.close()

    @property
    def is_due(self) -> bool:
        """Whether the next checkpoint is due."""
        return time.perf_counter() - self._saved >= self._settings.checkpoint_every

    def leave_out(self, seconds: float) -> None:
        """Do not count the last ``seconds`` toward the next checkpoint."""
        self._saved += seconds

    def save(self, trainer: Trainer, stopwatch: Stopwatch, step: int) -> None:
        """Write the checkpoint of ``step``."""
        tensors = trainer.state()
        state = {
            "identity": self.record.identity(),
            "steps_per_epoch": self.record.steps_per_epoch,
            "data_changes": list(self.record.data_changes),
            "step": step,
            "history": self.history,
            **stopwatch.state(step),
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
        if self._events is not None:
            self._events.write(row)
        self._display.epoch_line(row, self._settings.recipe.epochs)

    def finish(self, trainer: Trainer, config: ModelConfig, ended: RunRecord) -> RunRecord:
        """Write the weights, metrics.csv and, last, ``ended`` as run.json."""
        self.record = ended
        self._world.share(lambda: self._write(lambda: self._write_results(trainer, config)))
        return ended

    def write_end(self, error: TrainingError, stopwatch: Stopwatch, step: int) -> None:
        """Record in run.json how the run stopped, unless the disk is full."""
        status = "interrupted" if isinstance(error, InterruptedRunError) else "failed"
        if self._world.is_main:
            ended = self.now(status, step, stopwatch.wall_seconds(), reason=str(error))
            with suppress(OSError):
                write_record(self.folder, ended)

    def now(self, status: str, step: int, wall_seconds: float | None, **more: Any) -> RunRecord:
        """Return the record after ``step`` steps, with today's date."""
        date = datetime.now(timezone.utc).date().isoformat()
        return dataclasses.replace(
            self.record, status=status, steps=step, date=date, wall_seconds=wall_seconds, **more
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

    def _write_results(self, trainer: Trainer, config: ModelConfig) -> None:
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
            write_bytes(path, *weights_content(network.state_dict(), config, **facts))
        self._write_metrics()
        write_record(self.folder, self.record)
