"""The data of a training run: ``open_data`` and the batches it gives.

A batch is a pure function of (seed, epoch, step) and of the global batch size: the order, crops,
flips, operations, erasing and mixing all come from generators keyed by those (``sampling``).
A run therefore continues at any step with the batches that it would have had, and any number of
processes together sees the batches of one.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from roadmap.recipes import Recipe
from roadmap.train import augment, resident, sampling
from roadmap.train.images import DataError
from roadmap.train.sources import Source, Split, open_source

__all__ = ["Data", "DataError", "DataInfo", "open_data"]

#: Share of the area that a random crop keeps: ImageNet's habit, and a milder one for ``pocket``.
CROP_AREA = {None: (0.08, 1.0), "pocket": (0.5, 1.0)}


@dataclass(frozen=True)
class DataInfo:
    """What a run's record says about its data."""

    name: str
    class_names: tuple[str, ...]
    num_train: int
    num_val: int
    #: Of class names, labels and image bytes, in order; of file sizes instead of bytes where
    #: ``hashed`` says so.
    sha256: str
    hashed: str
    channels: int = 3
    #: Sentences for the reader, such as classes that the validation images leave out.
    notes: tuple[str, ...] = ()

    @property
    def num_classes(self) -> int:
        return len(self.class_names)


def open_data(
    path: str | Path | None,
    recipe: Recipe,
    *,
    device: torch.device | str,
    seed: int,
    scale: str | None = None,
    workers: int | None = None,
) -> Data:
    """The data at ``path`` (none: scikit-learn's digits), checked, ready to train ``recipe``.

    ``path`` is a folder with ``train/`` and ``val/``, a folder of parquet files, or a name as
    timm's ``create_dataset`` has them (``torch/cifar10``). ``scale`` "pocket" crops more mildly.
    ``workers`` read a set too large for memory. Raises ``DataError``.
    """
    if recipe.test_resize < recipe.test_size:
        raise DataError(
            f"test_resize is {recipe.test_resize}, less than the crop of {recipe.test_size} that "
            "test_size asks for: use the same or more"
        )
    return Data(open_source(path), recipe, torch.device(device), seed, scale, workers)


class Data:
    """Training and validation batches of one source under one recipe."""

    def __init__(
        self,
        source: Source,
        recipe: Recipe,
        device: torch.device,
        seed: int,
        scale: str | None,
        workers: int | None,
    ):
        self.recipe, self.device, self.seed = recipe, device, seed
        self.mirrors = source.mirrors
        self.crop_area = CROP_AREA[scale]
        longest = 2 * max(recipe.train_size, recipe.test_resize)
        self.train = resident.load(source.train, longest, device)
        self.val = resident.load(source.val, longest, device)
        self.info = DataInfo(
            name=source.name,
            class_names=source.class_names,
            num_train=len(source.train.labels),
            num_val=len(source.val.labels),
            sha256=_hash(source),
            hashed="class names, labels and bytes",
            notes=source.notes,
        )

    def steps_per_epoch(self, batch_size: int) -> int:
        """Batches in an epoch. What does not fill one is dropped; there is always at least one."""
        return max(self.info.num_train // batch_size, 1)

    def train_batches(
        self, epoch: int, batch_size: int, *, start: int = 0, rank: int = 0, world_size: int = 1
    ) -> Iterator[tuple[Tensor, Tensor]]:
        """Batches ``start`` and on of ``epoch``, this process's part of each.

        ``batch_size`` is the global batch; process ``rank`` of ``world_size`` gets its contiguous
        part. Images are float32 (N, 3, S, S), normalized, channels_last, on the device; targets
        are always probabilities, float32 (N, classes), label smoothing and mixing included, which
        cross-entropy and binary cross-entropy both take. Raises ``DataError``.
        """
        self._check_batch(batch_size, world_size)
        return self._train_batches(epoch, batch_size, start, rank, world_size)

    def _check_batch(self, batch_size: int, world_size: int) -> None:
        group = world_size * (2 if self._mixes else 1)
        if batch_size < 1 or batch_size % group:
            why = "Mixup and CutMix pair neighbours, so " if self._mixes else ""
            raise DataError(
                f"a global batch of {batch_size} does not split over {world_size} processes: "
                f"{why}use a multiple of {group}"
            )

    @property
    def _mixes(self) -> bool:
        return bool(self.recipe.mixup or self.recipe.cutmix)

    def _train_batches(
        self, epoch: int, batch_size: int, start: int, rank: int, world_size: int
    ) -> Iterator[tuple[Tensor, Tensor]]:
        order = sampling.epoch_order(
            self.seed, epoch, self.info.num_train, batch_size, self.recipe.repeated_augmentation
        )
        part = batch_size // world_size
        mine = slice(rank * part, (rank + 1) * part)
        for step in range(start, self.steps_per_epoch(batch_size)):
            index = order[step * batch_size : (step + 1) * batch_size]
            with torch.no_grad(), torch.autocast(self.device.type, enabled=False):
                batch = self._train_batch(epoch, step, index, mine)
            yield batch

    def _train_batch(
        self, epoch: int, step: int, index: np.ndarray, mine: slice
    ) -> tuple[Tensor, Tensor]:
        recipe, count = self.recipe, len(index)
        rng = sampling.generator(self.seed, epoch, step, sampling.CROPS)
        crops = sampling.draw_crops(rng, self.train.sizes[index], self.crop_area, self.mirrors)
        crops = sampling.share(crops, mine)
        images = self.train.take(index[mine], self.device)
        box = self._to_device(crops.box)
        size, how = recipe.train_size, "bicubic"
        images = augment.resample(images, box, box, self._to_device(crops.flip), size, how)
        images = augment.normalize(images)
        labels = self._to_device(self.train.labels[index[mine]])
        targets = augment.soft_targets(labels, self.info.num_classes, recipe.label_smoothing)
        if self._mixes:
            rng = sampling.generator(self.seed, epoch, step, sampling.MIXING)
            drawn = sampling.draw_mixing(rng, count, size, recipe.mixup, recipe.cutmix)
            drawn = sampling.share(drawn, mine)
            share = self._to_device(drawn.share)
            images = augment.mix(
                images, self._to_device(drawn.cut), share, self._to_device(drawn.box)
            )
            targets = torch.lerp(augment.neighbours(targets), targets, share[:, None])
        return images, targets

    def _to_device(self, array: np.ndarray) -> Tensor:
        return torch.from_numpy(np.ascontiguousarray(array)).to(self.device, non_blocking=True)

    def val_batches(
        self, batch_size: int, *, rank: int = 0, world_size: int = 1
    ) -> Iterator[tuple[Tensor, Tensor]]:
        """Every validation image once over all processes, in order, with class indices (N,).

        Resized so that the shorter side is the recipe's ``test_resize``, then the central
        ``test_size``. ``batch_size`` is the global batch; the last may be smaller, and where it
        has fewer images than there are processes, some get one batch less.
        """
        for start in range(0, self.info.num_val, batch_size):
            index = np.arange(start, min(start + batch_size, self.info.num_val))
            mine = np.array_split(index, world_size)[rank]
            if len(mine):
                with torch.no_grad(), torch.autocast(self.device.type, enabled=False):
                    batch = self._val_batch(mine)
                yield batch

    def _val_batch(self, index: np.ndarray) -> tuple[Tensor, Tensor]:
        sizes, recipe = self.val.sizes[index], self.recipe
        box = resident.central_box(sizes, recipe.test_resize, recipe.test_size)
        whole = np.concatenate([np.zeros_like(sizes), sizes], axis=1)
        images = augment.resample(
            self.val.take(index, self.device),
            self._to_device(box),
            self._to_device(whole),
            torch.zeros(len(index), dtype=torch.bool, device=self.device),
            recipe.test_size,
            "bicubic",
        )
        return augment.normalize(images), self._to_device(self.val.labels[index])


def _hash(source: Source) -> str:
    digest = hashlib.sha256("\n".join(source.class_names).encode())
    for split in (source.train, source.val):
        digest.update(split.labels.tobytes())
        _hash_images(digest, split)
    return digest.hexdigest()


def _hash_images(digest, split: Split) -> None:
    for index in range(len(split.labels)):
        data = split.data(index)
        digest.update(len(data).to_bytes(8, "little"))
        digest.update(data)
