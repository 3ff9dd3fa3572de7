"""The data of a training run: ``open_data`` and its batches.

A batch is a pure function of (seed, epoch, step) and the global batch size: order, crops, flips,
operations, erasing and mixing all come from generators with these keys (``sampling``). A run can
therefore resume at any step with the same batches, and any number of processes together sees the
batches of one process.

If the decoded images fit into memory (``in_memory``: 4 GiB per split), they are decoded once and
batches are made on the device. Otherwise, workers decode them in every epoch (``on_demand``).
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from roadmap.recipes import Recipe
from roadmap.train.data import augment, in_memory, sampling
from roadmap.train.data.damage import ImageError, all_damaged, check_file, check_headers
from roadmap.train.data.images import DataError
from roadmap.train.data.in_memory import InMemory
from roadmap.train.data.on_demand import OnDemand, default_workers
from roadmap.train.data.pipeline import Batch, augmented, stages
from roadmap.train.data.prefetch import Batches, prefetched
from roadmap.train.data.sampling import CROP_AREA, BatchPlan, View
from roadmap.train.data.split import Source
from roadmap.train.distributed import World

__all__ = ["Data", "DataError", "DataInfo", "open_data"]

#: Pixels that a CPU augments at once: 512 images of 32 x 32, or a batch of larger ones.
CPU_GROUP = 2**19
#: Bytes of GPU memory per pixel augmented at once. Augmentation takes about 40 bytes per pixel, so
#: this uses about 1% of the memory.
CUDA_BYTES_PER_PIXEL = 4096


@dataclass(frozen=True)
class DataInfo:
    """The description of the data in a run's record."""

    name: str
    class_names: tuple[str, ...]
    num_train: int
    num_val: int
    #: SHA-256 of class names, labels and, in order, the images: their bytes if they fit into
    #: memory, otherwise their names and sizes.
    sha256: str
    channels: int = 3
    #: Names of the splits at their source, such as ("train", "valid").
    splits: tuple[str, str] = ("train", "val")
    #: Whether images are rotated by their EXIF orientation tag.
    exif_orientation: bool = True
    #: Whether the data set names its classes; otherwise ``class_names`` are the labels as text.
    named: bool = True

    @property
    def classes(self) -> tuple[str, ...] | None:
        """Return the class names, or None if the data set has none."""
        return self.class_names if self.named else None

    @property
    def num_classes(self) -> int:
        return len(self.class_names)


def open_data(
    source: Source,
    recipe: Recipe,
    *,
    device: torch.device | str,
    seed: int,
    scale: str = "full",
    workers: int | None = None,
    exif_orientation: bool = True,
    world: World | None = None,
) -> Data:
    """Open the images of ``source`` (``sources.open_source``) for training with ``recipe``.

    ``scale`` "pocket" uses milder crops. ``workers`` read data that does not fit into memory
    [default: one per core, up to 16]. With ``exif_orientation``, images are rotated by their EXIF
    tag. The processes of ``world`` share each batch. Raises ``DataError``.
    """
    world = world or World()
    _check_batch(recipe, world.size)
    if recipe.test_resize < recipe.test_size:
        raise DataError(
            f"test_resize is {recipe.test_resize}, less than the crop size test_size "
            f"{recipe.test_size}; use {recipe.test_size} or more"
        )
    source.train.exif_orientation = source.val.exif_orientation = exif_orientation
    view = View(
        train_size=recipe.train_size,
        test_size=recipe.test_size,
        test_resize=recipe.test_resize,
        interpolation=recipe.interpolation,
        area=CROP_AREA[scale],
        flips=source.mirrors,
    )
    device = torch.device(device)
    if device.type == "cuda" and device.index is None:  # our threads would use the first GPU
        device = torch.device("cuda", torch.cuda.current_device())
    train, val = _readers(source, view, device, workers)
    return Data(source, recipe, device, seed, train, val, world, exif_orientation)


def _check_batch(recipe: Recipe, processes: int) -> None:
    """Raise ``DataError`` if a global batch cannot be split over the processes."""
    group = processes * (2 if recipe.mixes else 1)
    if recipe.batch_size < 1 or recipe.batch_size % group:
        why = "Mixup and CutMix mix pairs, so " if recipe.mixes else ""
        raise DataError(
            f"a global batch of {recipe.batch_size} cannot be split over {processes} processes: "
            f"{why}use a multiple of {group}"
        )


Reader = InMemory | OnDemand


def _readers(source: Source, view: View, device: torch.device, workers: int | None) -> list[Reader]:
    """Open both splits. Raises ``DataError`` that names every damaged image in both."""
    readers: list[Reader] = []
    splits = (source.train, source.val)
    for split in splits:
        try:
            loaded = in_memory.load(split, view, device)
        except DataError as error:
            raise all_damaged(splits, error) from None
        if loaded is not None:
            readers.append(loaded)
            continue
        try:
            check_headers(split)
        except DataError as error:
            raise all_damaged(splits, error, check_file) from None
        processes = default_workers() if workers is None else workers
        readers.append(OnDemand(split, view, device, processes))
    return readers


class Data:
    """Training and validation batches of a source with a recipe: this process's part of them.

    Each of the ``world``'s processes gets a contiguous part of every global batch.
    """

    def __init__(
        self,
        source: Source,
        recipe: Recipe,
        device: torch.device,
        seed: int,
        train: Reader,
        val: Reader,
        world: World,
        exif_orientation: bool = True,
    ):
        self.recipe, self.device, self.seed, self.world = recipe, device, seed, world
        self._stages = stages(recipe, device)
        self._train, self._val = train, val
        self._source = source
        whole = isinstance(train, InMemory) and isinstance(val, InMemory)
        self.info = DataInfo(
            name=source.name,
            class_names=source.class_names,
            num_train=len(source.train.labels),
            num_val=len(source.val.labels),
            sha256=_hash(source, whole),
            splits=source.splits,
            exif_orientation=exif_orientation,
            named=source.named,
        )
        self.steps_per_epoch = sampling.steps_per_epoch(self.info.num_train, recipe.batch_size)

    def all_damaged(self, found: Exception) -> Exception:
        """Return a batch's error; for an unreadable image, list all other unreadable ones too."""
        if not isinstance(found, ImageError):
            return found
        return all_damaged((self._source.train, self._source.val), found)

    def train_batches(self, epoch: int, *, start: int = 0, steps: int | None = None) -> Batches:
        """Yield the batches of ``epoch``, from batch ``start`` on; it has ``steps`` of them
        [default: ``steps_per_epoch``].

        Images are float32 (N, 3, S, S), normalized, channels_last, on the device. Targets are
        probabilities, float32 (N, classes), that include label smoothing and mixing; both
        cross-entropy and binary cross-entropy accept them. Mixup and CutMix mix neighbors
        (positions 2i and 2i + 1), with one draw per pair. Raises ``DataError``.
        """
        plans = self._plans(epoch, range(start, steps or self.steps_per_epoch))
        return prefetched(self._train_batches(plans), self.device)

    def _plans(self, epoch: int, steps: range) -> list[BatchPlan]:
        recipe, batch_size = self.recipe, self.recipe.batch_size
        order = sampling.epoch_order(
            self.seed,
            epoch,
            self.info.num_train,
            batch_size,
            recipe.repeated_augmentation,
            steps.stop,
        )
        part = batch_size // self.world.size
        mine = slice(self.world.rank * part, (self.world.rank + 1) * part)
        return [
            BatchPlan(
                (self.seed, epoch, step), order[step * batch_size : (step + 1) * batch_size], mine
            )
            for step in steps
        ]

    def _train_batches(self, plans: list[BatchPlan]) -> Batches:
        groups = self._groups(plans)
        crops = self._train.train_crops(groups)
        for group in groups:
            # Only around the work: between batches, the caller's modes apply.
            with torch.no_grad(), torch.autocast(self.device.type, enabled=False):
                batches = self._augmented(next(crops), group)
            yield from batches

    def _groups(self, plans: list[BatchPlan]) -> list[list[BatchPlan]]:
        """Make several batches at once, since a call costs the host the same time for one as for
        several. The content of a batch does not depend on the others."""
        size = 1
        if isinstance(self._train, InMemory) and plans:
            images = len(plans[0].images[plans[0].mine])
            size = max(_group_pixels(self.device) // (images * self.recipe.train_size**2), 1)
        return [plans[start : start + size] for start in range(0, len(plans), size)]

    def _augmented(self, crops: Tensor, plans: list[BatchPlan]) -> list[tuple[Tensor, Tensor]]:
        """Return one batch per plan."""
        own = self._source.train.labels[sampling.own_images(plans)]
        labels = augment.to_device(own, self.device)
        smoothing = self.recipe.label_smoothing
        targets = augment.soft_targets(labels, self.info.num_classes, smoothing)
        images, targets = augmented(Batch(crops, targets), plans, self._stages)
        images = images.contiguous(memory_format=torch.channels_last)
        part = len(images) // len(plans)
        return list(zip(images.split(part), targets.split(part), strict=True))

    def val_batches(self, batch_size: int) -> Batches:
        """Yield every validation image once over all processes, in order, with labels (N,).

        The shorter side is resized to the recipe's ``test_resize``, then the central ``test_size``
        pixels are cropped. ``batch_size`` is the global batch size; the last batch may be smaller,
        and if it has fewer images than there are processes, some get one batch less.
        """
        images = np.arange(self.info.num_val)
        batches = np.split(images, range(batch_size, len(images), batch_size))
        parts = [np.array_split(batch, self.world.size)[self.world.rank] for batch in batches]
        return prefetched(self._val_batches([part for part in parts if len(part)]), self.device)

    def _val_batches(self, parts: list[np.ndarray]) -> Batches:
        crops = self._val.val_crops(parts)
        for part in parts:
            with torch.no_grad(), torch.autocast(self.device.type, enabled=False):
                images = augment.normalize(next(crops))
                images = images.contiguous(memory_format=torch.channels_last)
            yield images, augment.to_device(self._source.val.labels[part], self.device)


def _group_pixels(device: torch.device) -> int:
    if device.type == "cuda":
        return torch.cuda.get_device_properties(device).total_memory // CUDA_BYTES_PER_PIXEL
    return CPU_GROUP if device.type == "cpu" else 0


def _hash(source: Source, whole: bool) -> str:
    """Hash class names, labels and the images' bytes (``whole``) or names and sizes."""
    digest = hashlib.sha256("\n".join(source.class_names).encode(errors="surrogateescape"))
    for split in (source.train, source.val):
        digest.update(split.labels.tobytes())
        for index in range(len(split.labels)):
            data = split.data(index) if whole else split.detail(index).encode()
            digest.update(len(data).to_bytes(8, "little"))
            digest.update(data)
    return digest.hexdigest()
