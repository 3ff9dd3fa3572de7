"""Training speed end to end, of the bare training step, and of timm's loop.

For each step, in one run on one machine:

- ``bare``: our training step on random tensors that stay on the device;
- ``end to end``: ``python -m roadmap train``, its first epoch (without compilation) and steady
  state (median of the later epochs);
- ``timm``: a loop as in timm's train.py with timm's ``create_loader`` and the same network, data,
  augmentation, optimizer and weight average.

    python benchmarks/training.py --data PATH --image-size 128 --batch-size 512 --compile
    python benchmarks/training.py --scale pocket --device cpu --threads 1 --workers 0 --cpu-time

With ``--cpu-time``, seconds are processor time of this process, which other programs do not affect;
with one thread and no workers, it is the time on an idle machine.

Writes results/measured/training.csv, replacing rows of the same step, device, data and scale.
"""

from __future__ import annotations

import argparse
import csv
import shlex
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from datetime import datetime, timezone
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import torch
from PIL import Image
from timm.data import auto_augment, create_loader
from timm.data.mixup import FastCollateMixup, Mixup
from timm.loss import SoftTargetCrossEntropy
from timm.optim import create_optimizer_v2
from timm.scheduler import create_scheduler_v2
from timm.utils import AverageMeter, ModelEmaV3

from models import ModelConfig, ModernResNet
from roadmap.device import autocast, device_name, prepare_device, versions
from roadmap.recipes import Recipe
from roadmap.tables.results import merge_rows
from roadmap.train import run, stopwatch
from roadmap.train.data.sampling import steps_per_epoch
from roadmap.train.data.sources import open_source
from roadmap.train.data.split import Split
from roadmap.train.settings import Settings, choose_recipe, run_config
from roadmap.train.trainer import Trainer

STEPS = ("kernel_7", "separate_downsampling")
#: Columns that identify a measurement; a new row replaces an old one.
KEY = ("roadmap", "step", "what", "device", "data", "scale")
clock = time.perf_counter
#: Steps between reads of the loss, as in timm's train.py.
LOG_INTERVAL = 50


def main() -> None:
    options = _options()
    device = prepare_device(options.device)
    if options.cpu_time:
        global clock
        clock = time.process_time
        stopwatch.time = SimpleNamespace(perf_counter=clock)
    torch.set_num_threads(options.threads or torch.get_num_threads())
    rows: list[dict[str, object]] = []
    for step in options.steps:
        for name, speeds in _measured(step, options, device):
            rows.append(_row(step, name, speeds, options, device))
            print(f"{step}, {name}: {rows[-1]['images_per_s']:,.0f} images/s", flush=True)
            merge_rows("measured/training", KEY, _with_shares(rows))
    for row in _with_shares(rows):
        print(*(row[name] for name in ("step", "what", "images_per_s", "share_of_bare")), sep="\t")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data")
    parser.add_argument("--steps", nargs="+", default=STEPS)
    parser.add_argument("--scale", choices=("full", "pocket"), default="full")
    parser.add_argument("--image-size", type=int)
    parser.add_argument("--batch-size", type=int)
    parser.add_argument("--device")
    parser.add_argument("--threads", type=int)
    parser.add_argument("--workers", type=int)
    parser.add_argument("--compile", action="store_true")
    parser.add_argument("--cpu-time", action="store_true")
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--bare-steps", type=int, default=60)
    return parser.parse_args()


def _measured(
    step: str, options: argparse.Namespace, device: torch.device
) -> Iterator[tuple[str, list[float]]]:
    """Yield the name of each measurement and its images/s."""
    changes = {"epochs": options.epochs, "warmup_epochs": 1}
    if options.batch_size:
        changes["batch_size"] = options.batch_size
    # The full recipe, including the weight average, which the steps of the roadmap omit.
    recipe, _ = choose_recipe(
        "resnet50",
        step,
        "convnext",
        changes=changes,
        image_size=options.image_size,
        scale=options.scale,
    )
    source = open_source(options.data)
    config = run_config("resnet50", step, recipe, scale=options.scale)
    config = config.replace(num_classes=len(source.class_names))
    spe = steps_per_epoch(len(source.train.labels), recipe.batch_size)
    trainer = _trainer(config, recipe, spe, options, device)
    before = _bare(trainer, options.bare_steps)
    speeds = _end_to_end(step, recipe, options)
    after = _bare(trainer, options.bare_steps)
    yield "bare step", [*before, *after]
    yield "end to end, first epoch", speeds[:1]
    yield "end to end, steady", speeds[1:]
    del trainer  # frees its memory for timm's loop
    speeds = _timm(config, recipe, source.train, spe, options, device)
    yield "timm, first epoch", speeds[:1]
    yield "timm, steady", speeds[1:]


def _trainer(
    config: ModelConfig,
    recipe: Recipe,
    steps_per_epoch: int,
    options: argparse.Namespace,
    device: torch.device,
) -> Trainer:
    torch._dynamo.reset()
    torch.manual_seed(0)
    return Trainer(
        ModernResNet(config),
        recipe,
        steps_per_epoch=steps_per_epoch,
        device=device,
        precision=_precision(device),
        compiled=options.compile,
    )


def _bare(trainer: Trainer, steps: int) -> list[float]:
    """Return the images/s of three series of steps on random tensors, after ten warm-up steps."""
    size, device = trainer.recipe.batch_size, trainer.device
    shape = (size, 3, trainer.recipe.train_size, trainer.recipe.train_size)
    images = torch.randn(shape, device=device).contiguous(memory_format=torch.channels_last)
    targets = torch.rand(size, trainer.model.num_classes, device=device).softmax(1)
    number, speeds = 0, []
    for timed in (0, *[steps // 3] * 3):
        begun = clock()
        for _ in range(timed or 10):
            trainer.step(number, images, targets)
            trainer.known_sums()
            number += 1
        trainer.sums()  # waits for the device
        if timed:
            speeds.append(timed * size / (clock() - begun))
    return speeds


def _end_to_end(step: str, recipe: Recipe, options: argparse.Namespace) -> list[float]:
    """Return the images/s of each epoch of a run, from its metrics.csv."""
    with tempfile.TemporaryDirectory() as folder:
        run.train(
            Settings(
                step=step,
                recipe=recipe,
                recipe_name="convnext",
                data=options.data,
                scale=options.scale,
                device=options.device,
                compiled=options.compile,
                workers=options.workers,
                output=Path(folder),
            )
        )
        with (Path(folder) / "metrics.csv").open() as file:
            return [float(row["images_per_s"]) for row in csv.DictReader(file)]


def _posterize(image: Image.Image, bits: int, **_options: object) -> Image.Image:
    """timm's posterize, which may ask for 0 bits; Pillow refuses that since version 12."""
    return auto_augment.posterize(image, max(bits, 1))


auto_augment.NAME_TO_OP["PosterizeIncreasing"] = _posterize


class _Dataset(torch.utils.data.Dataset):
    """A split as timm's loader expects it: images and class indices."""

    def __init__(self, split: Split):
        self.split = split
        self.transform = None

    def __len__(self) -> int:
        return len(self.split.labels)

    def __getitem__(self, index: int) -> tuple[object, int]:
        image = Image.fromarray(np.ascontiguousarray(self.split.pixels(index)))
        return self.transform(image), int(self.split.labels[index])


def _timm(
    config: ModelConfig,
    recipe: Recipe,
    split: Split,
    steps_per_epoch: int,
    options: argparse.Namespace,
    device: torch.device,
) -> list[float]:
    """Return the images/s of each epoch of a loop like that of timm's train.py."""
    cuda = device.type == "cuda"
    mixing = {
        "mixup_alpha": recipe.mixup,
        "cutmix_alpha": recipe.cutmix,
        "label_smoothing": recipe.label_smoothing,
        "num_classes": config.num_classes,
    }
    workers = options.workers if options.workers is not None else torch.get_num_threads()
    loader = create_loader(
        _Dataset(split),
        input_size=(3, recipe.train_size, recipe.train_size),
        batch_size=recipe.batch_size,
        is_training=True,
        re_prob=recipe.random_erasing,
        re_mode="pixel",
        scale=(0.5, 1.0) if options.scale == "pocket" else (0.08, 1.0),
        hflip=0.0 if options.data is None else 0.5,
        auto_augment=recipe.auto_augment,
        interpolation=recipe.interpolation,
        num_workers=workers,
        collate_fn=FastCollateMixup(**mixing) if cuda else None,
        pin_memory=cuda,
        device=device,
        use_prefetcher=cuda,
        img_dtype=torch.float32,
    )
    mixup = None if cuda else Mixup(**mixing)
    torch.manual_seed(0)
    model = ModernResNet(config).to(device, memory_format=torch.channels_last)
    optimizer = create_optimizer_v2(
        model, "adamw", lr=recipe.lr, weight_decay=recipe.weight_decay, betas=recipe.betas
    )
    average = ModelEmaV3(model, decay=recipe.ema_decay)
    scheduler, _ = create_scheduler_v2(
        optimizer,
        "cosine",
        num_epochs=recipe.epochs,
        warmup_epochs=recipe.warmup_epochs,
        updates_per_epoch=steps_per_epoch,
        step_on_epochs=False,
    )
    torch._dynamo.reset()
    network = torch.compile(model) if options.compile else model
    loss_function = SoftTargetCrossEntropy()
    speeds, updates = [], 0
    for epoch in range(recipe.epochs):
        model.train()
        losses, count = AverageMeter(), 0
        begun = clock()
        for index, (images, targets) in enumerate(loader):
            if mixup is not None:
                images, targets = mixup(images.to(device), targets.to(device))
            images = images.contiguous(memory_format=torch.channels_last)
            with autocast(device.type, _precision(device)):
                loss = loss_function(network(images), targets)
            loss.backward()
            optimizer.step()
            optimizer.zero_grad()
            updates += 1
            average.update(model, step=updates)
            scheduler.step_update(num_updates=updates, metric=losses.avg)
            count += len(images)
            if index % LOG_INTERVAL == 0:
                losses.update(loss.item(), len(images))
        if cuda:
            torch.cuda.synchronize()
        speeds.append(count / (clock() - begun))
        scheduler.step(epoch + 1)
    return speeds


def _precision(device: torch.device) -> str:
    return "bf16" if device.type == "cuda" else "float32"


def _row(
    step: str, what: str, speeds: list[float], options: argparse.Namespace, device: torch.device
) -> dict[str, object]:
    found = versions()
    return {
        "roadmap": "resnet50",
        "step": step,
        "what": what,
        "images_per_s": round(statistics.median(speeds), 1),
        "lowest": round(min(speeds), 1),
        "highest": round(max(speeds), 1),
        "share_of_bare": "",
        "figures": len(speeds),
        "recipe": "convnext",
        "seconds": "cpu" if options.cpu_time else "wall",
        "data": "digits" if options.data is None else Path(options.data).name,
        "scale": options.scale,
        "device": device.type,
        "device_name": device_name(device),
        "precision": _precision(device),
        "compiled": options.compile,
        "image_size": options.image_size or "",
        "batch_size": options.batch_size or "",
        "torch": found["torch"],
        "timm": found["timm"],
        "date": datetime.now(timezone.utc).date().isoformat(),
        "command": f"python benchmarks/training.py {shlex.join(sys.argv[1:])}",
    }


def _with_shares(rows: list[dict[str, object]]) -> list[dict[str, object]]:
    bare = {row["step"]: row["images_per_s"] for row in rows if row["what"] == "bare step"}
    return [
        {**row, "share_of_bare": round(row["images_per_s"] / bare[row["step"]], 3)} for row in rows
    ]


if __name__ == "__main__":
    main()
