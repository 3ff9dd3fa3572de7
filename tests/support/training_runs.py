"""Tiny training runs on the digits, in this process or in one that can be killed."""

from __future__ import annotations

import contextlib
import csv
import gc
import io
import os
import pickle
import signal
import socket
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from fork_server import PROCESSES

from roadmap.errors import TrainingError
from roadmap.runs.metrics import CLOCK_COLUMNS
from roadmap.train.distributed import joined, synchronize_batch_norm
from roadmap.train.settings import Settings, choose_recipe, run_config


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

    def terminate(self) -> None:
        """SIGTERM, which asks it to save and stop."""
        self._process.terminate()

    def join(self, timeout: float = 120) -> int | None:
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

    gc.freeze()  # collecting would copy all that the fork server has imported
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
    from roadmap import files

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


def signal_at_step(step: int, signal_number: int) -> None:
    """Make this process get a signal in the middle of step ``step``."""
    _act_at_step(step, lambda: os.kill(os.getpid(), signal_number))


def hang_at_step(step: int) -> None:
    """Make this process wait, to be killed, before step ``step``."""
    _act_at_step(step, lambda: time.sleep(600))


def _act_at_step(step: int, act: Callable[[], None]) -> None:
    from roadmap.train.trainer import Trainer

    whole = Trainer.step

    def acting(self: Trainer, number: int, *batch: Any) -> None:
        if number == step:
            act()
        whole(self, number, *batch)

    Trainer.step = acting


def wait_for(condition: Callable[[], bool], seconds: float = 120) -> None:
    """Until ``condition`` holds; an ``AssertionError`` when it does not in time."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited too long"
        time.sleep(0.02)


def outcome(folder: Path) -> dict[str, Any]:
    """All that two runs must share bit for bit: weights, average, metrics without the clock."""
    weights = {path.name: path.read_bytes() for path in sorted(folder.glob("*.safetensors"))}
    with (folder / "metrics.csv").open() as file:
        rows = list(csv.DictReader(file))
    for row in rows:
        for column in CLOCK_COLUMNS:
            del row[column]
    return {"weights": weights, "metrics": rows}


def _place(rank: int, size: int, port: int) -> None:
    """Makes this process what torchrun would start."""
    import torch

    gc.freeze()
    torch.set_num_threads(1)
    places = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": size, "MASTER_PORT": port}
    os.environ.update({name: str(value) for name, value in places.items()})
    os.environ["MASTER_ADDR"] = "127.0.0.1"


def whole_run(settings: Settings, result: Path, rank: int, size: int, port: int) -> None:
    """Train as ``settings`` say, and write what is said to ``result``."""
    from roadmap.train.run import train

    _place(rank, size, port)
    with contextlib.redirect_stderr(io.StringIO()) as said:
        train(settings)
    if rank == 0:
        result.write_bytes(pickle.dumps(said.getvalue()))


def step_losses(
    settings: Settings, result: Path, rank: int, size: int, port: int, steps: int
) -> None:
    """Write the loss of each of the first ``steps`` steps, over all processes, to ``result``."""
    import torch

    from models import ModernResNet
    from roadmap.train.data.batches import open_data
    from roadmap.train.data.sources import open_source
    from roadmap.train.trainer import Trainer

    _place(rank, size, port)
    with joined("cpu") as world:
        device = torch.device("cpu")
        data = open_data(
            open_source(settings.data),
            settings.recipe,
            device=device,
            seed=0,
            scale="pocket",
            world=world,
        )
        config = run_config(settings.roadmap, settings.step, settings.recipe, scale="pocket")
        torch.manual_seed(0)
        trainer = Trainer(
            ModernResNet(config.replace(num_classes=data.info.num_classes)),
            settings.recipe,
            steps_per_epoch=data.steps_per_epoch,
            device=device,
            micro_batch=settings.micro_batch,
            world=world,
        )
        losses: list[float] = []
        while len(losses) < steps:
            epoch = len(losses) // trainer.steps_per_epoch
            for images, targets in data.train_batches(epoch):
                trainer.begin_epoch()
                trainer.step(len(losses), images, targets)
                sums = trainer.sums()
                loss, count = world.sum([sums.loss, sums.images])
                losses.append(loss / count)
        if world.is_main:
            result.write_bytes(pickle.dumps(losses[:steps]))


def double_gradients(
    settings: Settings, result: Path, rank: int, size: int, port: int, images: int
) -> None:
    """Write every gradient of one batch of noise, in double precision, to ``result``."""
    import torch
    import torch.nn.functional as F
    from torch.nn.parallel import DistributedDataParallel

    from models import ModernResNet

    _place(rank, size, port)
    with joined("cpu") as world:
        torch.manual_seed(0)
        config = run_config(settings.roadmap, settings.step, settings.recipe, scale="pocket")
        model = ModernResNet(config.replace(num_classes=10, stochastic_depth=0))
        network = model = model.double()
        if size > 1:
            model = synchronize_batch_norm(model, "cpu")
            network = DistributedDataParallel(model)
        part = slice(rank * images // size, (rank + 1) * images // size)
        batch, labels = torch.randn(images, 3, 32, 32).double(), torch.arange(images) % 10
        F.cross_entropy(network(batch[part]), labels[part]).backward()
        if world.is_main:
            values = {f"{name} gradient": p.grad.numpy() for name, p in model.named_parameters()}
            values |= {name: b.numpy() for name, b in model.named_buffers()}
            result.write_bytes(pickle.dumps(values))


def on_processes(
    count: int, work: Callable[..., None], settings: Settings, folder: Path, *more: Any
) -> Any:
    """What ``work(settings, ..., *more)`` writes on ``count`` processes of their own."""
    folder.mkdir(parents=True, exist_ok=True)
    result = folder / "result.pickle"
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    started = [
        PROCESSES.Process(
            target=work, args=(settings, result, rank, count, port, *more), daemon=True
        )
        for rank in range(count)
    ]
    for process in started:
        process.start()
    for process in started:
        process.join(120)
        assert process.exitcode == 0
    return pickle.loads(result.read_bytes())


def fail_reading_at(patch: Any, step: int, error: Exception | None = None) -> None:
    """With pytest's ``patch``, make the data fail at each epoch's step ``step``."""
    from roadmap.train.data.batches import Data, DataError

    whole = Data.train_batches

    def failing(self: Data, epoch: int, *, start: int = 0, **rest: int) -> Iterator[Any]:
        batches = whole(self, epoch, start=start, **rest)
        for number, batch in enumerate(batches, start):
            if number >= step:
                raise error or DataError("the data is gone")
            yield batch

    patch.setattr(Data, "train_batches", failing)
