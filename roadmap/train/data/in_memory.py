"""Data in memory: a small set, decoded once into one uint8 tensor."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from roadmap.train.data import augment, sampling
from roadmap.train.data.images import shrink
from roadmap.train.data.sampling import BatchPlan, View
from roadmap.train.data.split import Decoded

#: Most bytes of a split's decoded images; larger sets are read on demand by workers.
LIMIT = 4 * 1024**3
#: Most of a device's free memory that they may take; otherwise they stay in host memory.
DEVICE_SHARE = 0.25


@dataclass(frozen=True)
class InMemory:
    """A decoded split: ``pixels`` uint8 (N, H, 3, W), images at the top left; ``sizes`` (N, 2).

    Rows precede channels so that resizing rows is one matrix product (``augment.resample``).
    """

    pixels: Tensor
    sizes: np.ndarray
    view: View
    device: torch.device

    def train_crops(self, groups: Iterable[list[BatchPlan]]) -> Iterator[Tensor]:
        """Yield random crops for each group of plans, uint8 (N, 3, S, S) on the device."""
        for plans in groups:
            crops = sampling.batch_crops(plans, self.sizes, self.view)
            box = augment.to_device(crops.box, self.device)
            yield augment.resample(
                self._take(sampling.own_images(plans)),
                box,
                box,
                augment.to_device(crops.flip, self.device),
                self.view.train_size,
                self.view.interpolation,
            )

    def val_crops(self, parts: Iterable[np.ndarray]) -> Iterator[Tensor]:
        """Yield central crops of each part's images, uint8 (N, 3, S, S) on the device."""
        for index in parts:
            sizes = self.sizes[index]
            box = central_box(sizes, self.view.test_resize, self.view.test_size)
            whole = np.concatenate([np.zeros_like(sizes), sizes], axis=1)
            yield augment.resample(
                self._take(index),
                augment.to_device(box, self.device),
                augment.to_device(whole, self.device),
                torch.zeros(len(index), dtype=torch.bool, device=self.device),
                self.view.test_size,
                self.view.interpolation,
            )

    def _take(self, index: np.ndarray) -> Tensor:
        chosen = torch.from_numpy(index).to(self.pixels.device)
        return self.pixels[chosen].to(self.device, non_blocking=True)


def load(split: Decoded, view: View, device: torch.device, limit: int = LIMIT) -> InMemory | None:
    """Decode ``split``, or return None if it takes over ``limit`` bytes.

    Images with a side over twice the crop's are stored at twice the crop's. Raises ``DataError``
    for unreadable images.
    """
    count, longest = len(split.labels), 2 * max(view.train_size, view.test_resize)
    images: list[np.ndarray] = []
    height = width = 0
    for pixels in _decoded(split, longest):
        images.append(pixels)
        height, width = max(height, pixels.shape[0]), max(width, pixels.shape[1])
        if count * height * width * 3 > limit:
            return None
    packed = np.zeros((count, height, 3, width), dtype=np.uint8)
    sizes = np.zeros((count, 2), dtype=np.int64)
    for index, pixels in enumerate(images):
        sizes[index] = pixels.shape[:2]
        packed[index, : pixels.shape[0], :, : pixels.shape[1]] = pixels.transpose(0, 2, 1)
    tensor = torch.from_numpy(packed)
    on_cuda = device.type == "cuda"
    if not on_cuda or tensor.nbytes <= DEVICE_SHARE * torch.cuda.mem_get_info(device)[0]:
        tensor = tensor.to(device)
    return InMemory(tensor, sizes, view, device)


def _decoded(split: Decoded, longest: int) -> Iterator[np.ndarray]:
    """Yield images in order, decoded in a few threads (decoders release Python's lock)."""
    count, block = len(split.labels), 1024
    with ThreadPoolExecutor(min(os.cpu_count() or 1, 16)) as pool:
        for start in range(0, count, block):
            indices = range(start, min(start + block, count))
            yield from pool.map(lambda index: shrink(split.pixels(index), longest), indices)


def central_box(sizes: np.ndarray, resize: int, crop: int) -> np.ndarray:
    """Return the box (N, 4) in images of ``sizes`` (N, 2) that becomes the central ``crop`` pixels
    when the shorter side is ``resize``; rounded as torchvision's Resize and CenterCrop."""
    shorter = sizes.min(axis=1, keepdims=True)
    resized = resize * sizes // shorter
    step = sizes / resized
    start = np.rint((resized - crop) / 2)
    return np.concatenate([start * step, crop * step], axis=1).astype(np.float32)
