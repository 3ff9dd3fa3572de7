"""Augmentation of whole batches as tensor operations, on the batch's device.

Images are uint8 (N, 3, S, S) until ``normalize``, like the Pillow images between timm's transforms.
Random parameters are drawn beforehand (``sampling``, ``policies``).
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from roadmap.train.data.sampling import Erasing, Mixing

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # ImageNet's, as in timm
#: Size of the noise bank.
NOISE = 2**20


def resample(
    images: Tensor, box: Tensor, visible: Tensor, flip: Tensor, size: int, interpolation: str
) -> Tensor:
    """Crop, resize and flip: uint8 (N, H, 3, W) to uint8 (N, 3, size, size).

    ``box`` and ``visible`` (N, 4) are top, left, height, width in pixels: the resized part, and the
    part that filters may read. The latter is the box if an image is cropped and then resized, and
    the whole image if it is resized and then cropped; the box may then have fractions. ``flip`` is
    (N,) bool. Resizing is linear in the pixels and separable, so all three operations are one
    matrix for rows and one for columns. Filters widen when shrinking an image (antialiasing), as in
    Pillow.
    """
    count, height, channels, width = images.shape
    place = torch.arange(size, device=images.device, dtype=torch.float32) + 0.5
    mirrored = torch.where(flip[:, None], place.flip(0), place)
    rows = filter_matrix(place[None], box[:, 0::2], visible[:, 0::2], height, interpolation)
    columns = filter_matrix(mirrored, box[:, 1::2], visible[:, 1::2], width, interpolation)
    # Adding 0.5 first equals adding it last, since weights sum to 1; truncation then rounds.
    pixels = images.to(torch.float32).add_(0.5).view(count, height, channels * width)
    pixels = torch.bmm(rows, pixels).view(count, size * channels, width)
    pixels = torch.bmm(pixels, columns.transpose(1, 2)).view(count, size, channels, size)
    pixels = pixels.clamp_(0, 255).permute(0, 2, 1, 3)
    return pixels.to(torch.uint8, memory_format=torch.contiguous_format)


def filter_matrix(
    place: Tensor, box: Tensor, visible: Tensor, pixels: int, interpolation: str
) -> Tensor:
    """Return weights (N, S, pixels) that resample ``box`` (N, 2: start, length) to S pixels with
    centers ``place`` (N or 1, S) in the result.

    As in Pillow: filter centers at (i + 0.5) * scale, filters ``scale`` times as wide when
    shrinking, and the weights of an output pixel sum to 1 over the visible pixels.
    """
    start, length = box.to(torch.float32)[:, :, None, None].unbind(1)
    low, extent = visible.to(torch.float32)[:, :, None, None].unbind(1)
    pixel = torch.arange(pixels, device=box.device, dtype=torch.float32) + 0.5
    scale = length / place.shape[1]
    center = start + place[:, :, None] * scale
    distance = (pixel - center).abs_().div_(scale.clamp(min=1))
    weight = _FILTERS[interpolation](distance)
    weight.mul_((pixel > low) & (pixel < low + extent))
    return weight.div_(weight.sum(2, keepdim=True))


def _bilinear(distance: Tensor) -> Tensor:
    return (1 - distance).clamp_(min=0)


def _bicubic(distance: Tensor) -> Tensor:
    """Return twice Keys' cubic with a = -0.5: p^2 (p - 1) + 2 q^2 (1 - 2 q) with p = 2 - distance
    and q = 1 - distance, both at least 0."""
    outer = (2 - distance).clamp_(min=0)
    beyond = outer - 1
    inner = beyond.clamp(min=0)
    return (outer * outer).mul_(beyond).addcmul_(inner * inner, 2 - 4 * inner)


_FILTERS = {"bilinear": _bilinear, "bicubic": _bicubic}


def normalize(images: Tensor) -> Tensor:
    """Convert uint8 (N, 3, S, S) to float32, normalized with ImageNet's mean and deviation. On CUDA
    to channels_last, which is cheapest while a value is a byte; a CPU is faster on whole rows."""
    scale = torch.tensor([1 / (255 * std) for std in STD], device=images.device)
    shift = torch.tensor([-mean / std for mean, std in zip(MEAN, STD, strict=True)])
    shift = shift.to(images.device)
    if images.is_cuda:
        images = images.contiguous(memory_format=torch.channels_last)
    return torch.addcmul(shift[:, None, None], images.float(), scale[:, None, None])


def inside(box: Tensor, size: int) -> Tensor:
    """Return the mask (N, 1, size, size) of ``box`` (N, 4): top, left, bottom, right."""
    place = torch.arange(size, device=box.device)
    top, left, bottom, right = box[:, :, None].unbind(1)
    rows = (place >= top) & (place < bottom)
    columns = (place >= left) & (place < right)
    return (rows[:, :, None] & columns[:, None, :])[:, None]


def erase(images: Tensor, drawn: Erasing, noise: Tensor | None) -> Tensor:
    """Fill rectangles of normalized images with ``noise`` (``noise_bank``) or the mean color."""
    chosen = np.flatnonzero(drawn.box.any(axis=1))
    if not len(chosen):
        return images
    index = to_device(chosen, images.device)
    erased = images[index]
    mask = inside(to_device(drawn.box[chosen], images.device), images.shape[-1])
    if noise is None:
        filling = torch.zeros((), device=images.device)
    else:
        windows = noise.unfold(0, erased[0].numel(), 1)
        start = (drawn.offset[chosen] * len(windows)).astype(np.int64)
        filling = windows[to_device(start, images.device)].view(erased.shape)
    images[index] = torch.where(mask, filling, erased)
    return images


def noise_bank(device: torch.device) -> Tensor:
    """Return a million fixed normal numbers. Erasing reads from a random position in them, so that
    noise only costs a lookup and does not depend on the device's generator."""
    return torch.randn(NOISE, generator=torch.Generator().manual_seed(0)).to(device)


#: The fill that ``erase`` takes, by a recipe's ``erasing_fill``.
ERASING_FILLS: dict[str, Callable[[torch.device], Tensor | None]] = {
    "mean": lambda _device: None,
    "noise": noise_bank,
}


def mix(images: Tensor, targets: Tensor, drawn: Mixing) -> tuple[Tensor, Tensor]:
    """Apply Mixup and CutMix to images and targets of neighbors 2i and 2i + 1."""
    first, second = images.unflatten(0, (-1, 2)).unbind(1)
    cut = to_device(drawn.cut[::2].copy(), images.device)[:, None, None, None]
    given = to_device(1 - drawn.share[::2], images.device)[:, None, None, None]
    taken = inside(to_device(drawn.box[::2].copy(), images.device), images.shape[-1]).float()
    exchanged = torch.where(cut, taken, given)
    mixed = torch.empty_like(images)
    own, other = mixed.unflatten(0, (-1, 2)).unbind(1)
    torch.lerp(first, second, exchanged, out=own)
    torch.lerp(second, first, exchanged, out=other)
    share = to_device(drawn.share, images.device)
    return mixed, torch.lerp(neighbors(targets), targets, share[:, None])


def neighbors(batch: Tensor) -> Tensor:
    """Swap elements 2i and 2i + 1."""
    index = torch.arange(len(batch), device=batch.device) ^ 1
    return batch[index]


def soft_targets(labels: Tensor, classes: int, smoothing: float) -> Tensor:
    """Convert labels (N,) to probabilities (N, classes), with ``smoothing`` spread over all."""
    off = smoothing / classes
    targets = torch.full((len(labels), classes), off, device=labels.device)
    return targets.scatter_(1, labels[:, None], 1 - smoothing + off)


def to_device(array: np.ndarray, device: torch.device) -> Tensor:
    return torch.from_numpy(array).to(device, non_blocking=True)
