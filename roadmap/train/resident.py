"""A small set, decoded once and kept in memory as one uint8 tensor."""

from __future__ import annotations

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import torch
from torch import Tensor

from roadmap.train.images import shrink
from roadmap.train.sources import Split

#: Bytes that the decoded images of a set may take; a larger set is read by workers instead.
LIMIT = 4 * 1024**3
#: Share of a device's free memory that they may take there; above it they stay in host memory.
DEVICE_SHARE = 0.25


class Store:
    """``pixels`` uint8 (N, H, 3, W), each image in the top left corner; ``sizes`` (N, 2).

    Rows come before channels so that resizing rows is one matrix product (``augment.resample``).
    """

    def __init__(self, pixels: Tensor, sizes: np.ndarray, labels: np.ndarray):
        self.pixels, self.sizes, self.labels = pixels, sizes, labels

    def take(self, index: np.ndarray, device: torch.device) -> Tensor:
        chosen = torch.from_numpy(index).to(self.pixels.device)
        return self.pixels[chosen].to(device)


def load(split: Split, longest: int, device: torch.device, limit: int = LIMIT) -> Store | None:
    """``split`` decoded, no side over ``longest``; None if that takes over ``limit`` bytes.

    Raises ``DataError`` for an image that cannot be read.
    """
    count = len(split.labels)
    images: list[np.ndarray] = []
    height = width = 0
    for pixels in _decoded(split, longest):
        images.append(pixels)
        height, width = max(height, pixels.shape[0]), max(width, pixels.shape[1])
        if count * height * width * 3 > limit:
            return None
    packed = np.zeros((count, height, 3, width), dtype=np.uint8)
    sizes = np.zeros((count, 2), dtype=np.int64)
    for index in range(count):
        pixels, images[index] = images[index], np.empty(0)
        sizes[index] = pixels.shape[:2]
        packed[index, : pixels.shape[0], :, : pixels.shape[1]] = pixels.transpose(0, 2, 1)
    tensor = torch.from_numpy(packed)
    if _fits(tensor.nbytes, device):
        tensor = tensor.to(device)
    return Store(tensor, sizes, split.labels)


def _decoded(split: Split, longest: int) -> Iterator[np.ndarray]:
    """Images in order, decoded in a few threads (the decoders let go of Python's lock)."""
    count, block = len(split.labels), 1024
    with ThreadPoolExecutor(min(os.cpu_count() or 1, 16)) as pool:
        for start in range(0, count, block):
            indices = range(start, min(start + block, count))
            yield from pool.map(lambda index: shrink(split.pixels(index), longest), indices)


def _fits(size: int, device: torch.device) -> bool:
    if device.type != "cuda":
        return True
    free, _ = torch.cuda.mem_get_info(device)
    return size <= DEVICE_SHARE * free


def central_box(sizes: np.ndarray, resize: int, crop: int) -> np.ndarray:
    """Box (N, 4) in images of ``sizes`` (N, 2) that is the central ``crop`` pixels once the
    shorter side is ``resize``; lengths rounded as torchvision's Resize and CenterCrop do."""
    shorter = sizes.min(axis=1, keepdims=True)
    resized = resize * sizes // shorter
    step = sizes / resized
    start = np.rint((resized - crop) / 2)
    return np.concatenate([start * step, crop * step], axis=1).astype(np.float32)
