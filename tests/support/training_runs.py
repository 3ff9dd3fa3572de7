"""Tiny training runs on the digits, in this process or in one that can be killed."""

from __future__ import annotations

import csv
import multiprocessing
import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from roadmap.train.errors import TrainingError
from roadmap.train.metrics import CLOCK_COLUMNS
from roadmap.train.settings import Settings, choose_recipe

#: Processes are forked from one that has imported torch but never used it: real ones, really
#: killed, without the seconds that the import takes.
PROCESSES = multiprocessing.get_context("forkserver")
PROCESSES.set_forkserver_preload(["roadmap.train.run", "sklearn.datasets"])


def tiny_settings(
    folder: Path | None,
    *,
    roadmap: str = "resnet50",
    step: str = "separate_downsampling",
    recipe: str | None = "convnext",
    changes: dict[str, Any] | None = None,
    **fields: Any,
) -> Settings:
    """A pocket run of two epochs of eleven steps, unless ``changes`` to the recipe say more."""
    short = {"epochs": 2, "warmup_epochs": 1, "batch_size": 128, "lr": 2e-3}
    chosen, _ = choose_recipe(
        roadmap, step, recipe, changes=short | (changes or {}), scale="pocket"
    )
    defaults = {"device": "cpu", "scale": "pocket", "output": folder}
    return Settings(
        roadmap=roadmap, step=step, recipe=chosen, recipe_name=recipe, **(defaults | fields)
    )


class Child:
    """A process that trains; ``join`` gives its exit code, ``output`` what it said."""

    def __init__(self, settings: Settings, before: Callable[..., None] | None = None, *args: Any):
        self._log = Path(f"{settings.output}.log")
        self._log.parent.mkdir(parents=True, exist_ok=True)
        self._process = PROCESSES.Process(
            target=_child, args=(settings, self._log, before, args), daemon=True
        )
        self._process.start()

    def kill_after(self, seconds: float) -> None:
        """SIGKILL, unless it ends by itself before."""
        self._process.join(seconds)
        self._process.kill()
        self._process.join()

    def send(self, number: int) -> None:
        os.kill(self._process.pid, number)

    def join(self, timeout: float = 60) -> int | None:
        self._process.join(timeout)
        return self._process.exitcode

    @property
    def output(self) -> str:
        return self._log.read_text()


def _child(
    settings: Settings, log: Path, before: Callable[..., None] | None, args: tuple[Any, ...]
) -> None:
    import torch

    from roadmap.train.run import train

    torch.set_num_threads(1)
    with log.open("w", buffering=1) as stream:
        sys.stderr = stream
        if before is not None:
            before(*args)
        try:
            train(settings)
        except TrainingError as error:
            print(f"{type(error).__name__}: {error}", file=stream)
            sys.exit(error.code)


def die_at_fsync(count: int) -> None:
    """Make this process kill itself at the ``count``-th flush to disk from here on."""
    from roadmap.train import files

    class Dying:
        left = count

        def __getattr__(self, name: str) -> Any:
            return getattr(os, name)

        def fsync(self, descriptor: int) -> None:
            Dying.left -= 1
            if Dying.left == 0:
                os.kill(os.getpid(), signal.SIGKILL)
            os.fsync(descriptor)

    files.os = Dying()


def wait_for(condition: Callable[[], bool], seconds: float = 30) -> None:
    """Until ``condition`` holds; an ``AssertionError`` when it does not in time."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited too long"
        time.sleep(0.005)


def outcome(folder: Path) -> dict[str, Any]:
    """All that two runs must share bit for bit: weights, average, metrics without the clock."""
    weights = {path.name: path.read_bytes() for path in sorted(folder.glob("*.safetensors"))}
    with (folder / "metrics.csv").open() as file:
        rows = list(csv.DictReader(file))
    for row in rows:
        for column in CLOCK_COLUMNS:
            del row[column]
    return {"weights": weights, "metrics": rows}
