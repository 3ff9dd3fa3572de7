"""The training loop: steps, epochs, scores, and when to save and stop."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import NoReturn

import torch
from torch import Tensor

from roadmap.device import out_of_memory
from roadmap.errors import InterruptedRunError, NonFiniteError, TrainingError
from roadmap.runs.metrics import SCORES
from roadmap.runs.record import RunRecord
from roadmap.train.checkpoint import Checkpoint
from roadmap.train.data.batches import Data, DataError
from roadmap.train.data.damage import ImageError
from roadmap.train.evaluate import Scores, evaluate
from roadmap.train.opening import ACCEPT
from roadmap.train.recorder import Recorder
from roadmap.train.stopping import Signals
from roadmap.train.trainer import Trainer


class Training:
    """Trains one run from its current state to its end. ``recorder`` is already open.

    After compiling, it waits for ``turn``. Every process of the ``trainer``'s world runs it.
    """

    def __init__(
        self,
        trainer: Trainer,
        data: Data,
        recorder: Recorder,
        signals: Signals,
        turn: threading.Event | None = None,
    ):
        self.trainer = trainer
        self.data = data
        self.recorder = recorder
        self.signals = signals
        self.turn = turn
        self.world = trainer.world
        self.stopwatch = recorder.stopwatch
        self.steps_per_epoch = trainer.steps_per_epoch
        self.total_steps = trainer.recipe.epochs * self.steps_per_epoch
        #: Whether the next step compiles the network.
        self.compiles = trainer.compiled
        self.step = 0

    def run(self, checkpoint: Checkpoint | None) -> RunRecord:
        """Train to the end, starting from ``checkpoint`` if there is one."""
        if checkpoint is not None:
            self.trainer.load_state(checkpoint.tensors)
            self.recorder.resume(checkpoint.state)
            self.step = checkpoint.state["step"]
        self.recorder.begin(self.step, self.total_steps)
        try:
            return self._train()
        except TrainingError as error:
            self.recorder.write_end(error, self.step)
            raise
        finally:
            self.recorder.close()

    def _train(self) -> RunRecord:
        if not self.compiles:
            self._await_turn()
        while True:
            epoch = self.step // self.steps_per_epoch
            if len(self.recorder.history) < epoch:
                self._finish_epoch(epoch)
            if self.step == self.total_steps:
                return self._finish()
            self._train_epoch()

    def _train_epoch(self) -> None:
        epoch, done = divmod(self.step, self.steps_per_epoch)
        if done == 0:
            self.trainer.begin_epoch()
            self.stopwatch.begin_epoch()
        self.stopwatch.begin_training(self.step)
        for images, targets in self._batches(epoch, done):
            with self._memory_explained(""):
                self.trainer.step(self.step, images, targets)
            self.step += 1
            if self.compiles:
                self._leave_out_compiling()
            self._after_step()
        # Waits for the device, so that the time covers the whole epoch.
        sums = self.trainer.sums()
        if sums.bad_step is not None:
            self._report_bad_step()
        self.recorder.progress(self.step, sums)  # a GPU's sums of a short epoch are known only now
        self.stopwatch.end_training(self.step)

    def _await_turn(self) -> None:
        """Wait until the device is free for this run, excluding the wait from time and energy."""
        begun = time.perf_counter()
        while self.turn and not self.signals.number and not self.turn.wait(0.2):
            pass
        self.recorder.leave_out(time.perf_counter() - begun)

    def _leave_out_compiling(self) -> None:
        """Replace the time of a process's first step, which compiles, by that of other steps."""
        self.compiles = False
        self._await_turn()
        if self.step % self.steps_per_epoch:  # this epoch has other steps
            self.trainer.sums()  # waits for the device
            self.stopwatch.begin_training(self.step, untimed_steps=1)

    def _batches(self, epoch: int, start: int) -> Iterator[tuple[Tensor, Tensor]]:
        steps = self.steps_per_epoch
        with (
            self._memory_explained(" plus augmentation"),
            self._reading_explained("training"),
            closing(self.data.train_batches(epoch, start=start, steps=steps)) as batches,
        ):
            yield from batches

    def _after_step(self) -> None:
        """Show progress, and agree with the other processes on whether to save or stop."""
        known = self.trainer.known_sums()
        self.recorder.progress(self.step, known)
        here = self.recorder.is_due and self.world.is_main
        bad, due, stop = self.world.max([known.bad_step is not None, here, self.signals.number])
        if bad:
            self._report_bad_step()
        if due or stop:
            self._save()
        if stop:
            self._stop(stop)

    def _finish_epoch(self, epoch: int) -> None:
        """Score the finished epoch, and write its row."""
        loss, correct, images, _ = self.trainer.total_sums()
        seconds = self.stopwatch.epoch_seconds(self.step)
        raw = self._evaluate(self.trainer.model)
        average = self.trainer.average and self._evaluate(self.trainer.average.module)
        row = {
            "epoch": epoch,
            "lr": self.trainer.rate(self.step - 1),
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
        self.recorder.write_epoch(row)

    def _evaluate(self, network: torch.nn.Module) -> Scores:
        def check_signals(_images: int) -> None:
            if self.signals.number and self.world.size == 1:
                self._save()
                self._stop(self.signals.number)

        with (
            self._memory_explained(" plus validation"),
            self._reading_explained("validation"),
        ):
            return evaluate(
                network,
                self.data,
                precision=self.trainer.precision,
                on_batch=check_signals,
            )

    def _finish(self) -> RunRecord:
        joules = self.stopwatch.joules()  # first: a sweep's next run may start while this one saves
        self._save()
        last = self.recorder.history[-1]
        if last["top1"] is None or (self.trainer.average and last["ema_top1"] is None):
            raise NonFiniteError(
                "after the last epoch, the validation loss is not finite, so the run has no "
                f"scores: the weights are too large. {self.recorder.last_checkpoint()}"
            )
        scores = {name: last[name] for name in SCORES}
        return self.recorder.finish(self.trainer, self.step, scores, joules)

    def _save(self) -> None:
        """Write a checkpoint, after checking that all losses so far are finite."""
        if self.trainer.sums().bad_step is not None:
            self._report_bad_step()
        self.recorder.save(self.trainer, self.step)

    def _stop(self, number: int) -> NoReturn:
        raise InterruptedRunError(
            f"stopped and saved after step {self.step} of {self.total_steps}: run the same command "
            "to resume",
            number,
        )

    def _report_bad_step(self) -> NoReturn:
        """Repeat the first bad step's batch, with the weights it had, to locate the error."""
        number = self.trainer.sums().bad_step
        assert number is not None
        epoch, place = divmod(number, self.steps_per_epoch)
        images, _ = next(self._batches(epoch, place))
        where = self.trainer.first_bad_layer(number, images)
        where = where or "every layer's output is finite, only the loss is not"
        rate = self.trainer.rate(number)
        raise NonFiniteError(
            f"the loss of step {number} (epoch {epoch + 1}, learning rate {rate:g}) is not finite: "
            f"{where}. {self.recorder.last_checkpoint()}"
        )

    @contextmanager
    def _reading_explained(self, split: str) -> Iterator[None]:
        """Name all unreadable images if the images of a split cannot be read."""
        try:
            yield
        except (DataError, OSError) as error:
            found = self.data.all_damaged(error)
            way_out = ""
            if isinstance(found, ImageError):
                way_out = f". Repair or remove the damaged images, then resume with {ACCEPT}"
            raise TrainingError(
                f"reading the {split} data failed at step {self.step}: {found}{way_out}. "
                f"{self.recorder.last_checkpoint()}"
            ) from None

    @contextmanager
    def _memory_explained(self, more: str) -> Iterator[None]:
        """Say what to do if the memory is too small for a batch and ``more``."""
        try:
            yield
        except (RuntimeError, MemoryError) as error:
            if not out_of_memory(error):
                raise
            images, size = self.trainer.images_at_once, self.trainer.recipe.train_size
            raise TrainingError(
                f"the device's memory is too small to train on {images} images of {size} pixels at "
                f"once{more}: set --micro-batch to a fraction of that. "
                f"{self.recorder.last_checkpoint()}"
            ) from None
