"""Augmentation of a whole batch as tensor operations, on whichever device the batch lies.

Images are uint8 (N, 3, S, S) until ``normalize``, as they are in Pillow between timm's
transforms. What chance decides is drawn beforehand (``sampling``, ``policies``).
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from roadmap.train.sampling import Erasing, Mixing

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # of ImageNet, as in timm
#: Numbers in the noise bank.
NOISE = 2**20


def resample(
    images: Tensor, box: Tensor, visible: Tensor, flip: Tensor, size: int, interpolation: str
) -> Tensor:
    """Crop, resize and flip: uint8 (N, H, 3, W) to uint8 (N, 3, size, size).

    ``box`` and ``visible`` (N, 4) are top, left, height, width in pixels: what is resized, and
    the part that filters may look at (the box itself where an image is cropped and then resized,
    the whole image where it is resized and then cropped; the box may then have fractions).
    Resizing is linear in the pixels and separable, so all three steps are one matrix for rows
    and one for columns. Filters widen when they shrink an image (antialiasing), as Pillow's do.
    """
    count, height, channels, width = images.shape
    rows = filter_matrix(box[:, 0::2], visible[:, 0::2], height, size, interpolation)
    columns = filter_matrix(box[:, 1::2], visible[:, 1::2], width, size, interpolation)
    columns = torch.where(flip[:, None, None], columns.flip(1), columns)
    pixels = images.to(torch.float32).view(count, height, channels * width)
    pixels = torch.bmm(rows, pixels).view(count, size * channels, width)
    pixels = torch.bmm(pixels, columns.transpose(1, 2)).view(count, size, channels, size)
    return pixels.round_().clamp_(0, 255).to(torch.uint8).permute(0, 2, 1, 3).contiguous()


def filter_matrix(
    box: Tensor, visible: Tensor, pixels: int, size: int, interpolation: str
) -> Tensor:
    """Weights (N, size, pixels) that resample ``box`` (N, 2: start, length) to ``size`` pixels.

    Pillow's resampling: filter centres at (i + 0.5) * scale, the filter ``scale`` times as wide
    where it shrinks, weights of one output pixel adding up to 1 over the visible pixels.
    """
    start, length = box.to(torch.float32)[:, :, None, None].unbind(1)
    low, extent = visible.to(torch.float32)[:, :, None, None].unbind(1)
    place = torch.arange(size, device=box.device, dtype=torch.float32)[:, None] + 0.5
    pixel = torch.arange(pixels, device=box.device, dtype=torch.float32) + 0.5
    scale = length / size
    distance = ((pixel - (start + place * scale)) / scale.clamp(min=1)).abs_()
    weight = _bilinear(distance) if interpolation == "bilinear" else _bicubic(distance)
    weight = weight * ((pixel > low) & (pixel < low + extent))
    return weight / weight.sum(2, keepdim=True)


def _bilinear(distance: Tensor) -> Tensor:
    return (1 - distance).clamp_(min=0)


def _bicubic(distance: Tensor) -> Tensor:
    """Keys' cubic with a = -0.5."""
    near = (1.5 * distance - 2.5) * distance * distance + 1
    far = ((-0.5 * distance + 2.5) * distance - 4) * distance + 2
    return torch.where(distance < 1, near, torch.where(distance < 2, far, 0.0))


def normalize(images: Tensor) -> Tensor:
    """uint8 (N, 3, S, S) to float32 of ImageNet's mean 0 and deviation 1."""
    scale = torch.tensor([1 / (255 * std) for std in STD], device=images.device)
    shift = torch.tensor([-mean / std for mean, std in zip(MEAN, STD, strict=True)])
    shift = shift.to(images.device)
    return images.float().mul_(scale[:, None, None]).add_(shift[:, None, None])


def inside(box: Tensor, size: int) -> Tensor:
    """Mask (N, 1, size, size) of the pixels in ``box`` (N, 4): top, left, bottom, right."""
    place = torch.arange(size, device=box.device)
    top, left, bottom, right = box[:, :, None].unbind(1)
    rows = (place >= top) & (place < bottom)
    columns = (place >= left) & (place < right)
    return (rows[:, :, None] & columns[:, None, :])[:, None]


def erase(images: Tensor, drawn: Erasing, noise: Tensor | None) -> Tensor:
    """Rectangles of normalized images become ``noise`` (``noise_bank``), or the mean color."""
    chosen = np.flatnonzero(drawn.box.any(axis=1))
    if not len(chosen):
        return images
    index = _to(chosen, images)
    erased = images[index]
    mask = inside(_to(drawn.box[chosen], images), images.shape[-1])
    if noise is None:
        filling = torch.zeros((), device=images.device)
    else:
        windows = noise.unfold(0, erased[0].numel(), 1)
        start = (drawn.offset[chosen] * len(windows)).astype(np.int64)
        filling = windows[_to(start, images)].view(erased.shape)
    images[index] = torch.where(mask, filling, erased)
    return images


def noise_bank(device: torch.device) -> Tensor:
    """A million normal numbers, the same everywhere: erasing reads from a random place in them,
    so that noise costs a lookup and does not depend on a device's generator."""
    return torch.randn(NOISE, generator=torch.Generator().manual_seed(0)).to(device)


def mix(images: Tensor, targets: Tensor, drawn: Mixing) -> tuple[Tensor, Tensor]:
    """Mixup and CutMix of neighbours 2i and 2i + 1, images (in place) and targets."""
    first, second = images.view(-1, 2, *images.shape[1:]).unbind(1)
    cut = _to(drawn.cut[::2].copy(), images)[:, None, None, None]
    given = _to(1 - drawn.share[::2], images)[:, None, None, None]
    taken = inside(_to(drawn.box[::2].copy(), images), images.shape[-1]).float()
    exchanged = (second - first).mul_(torch.where(cut, taken, given))
    first.add_(exchanged)
    second.sub_(exchanged)
    share = _to(drawn.share, images)
    return images, torch.lerp(neighbours(targets), targets, share[:, None])


def neighbours(batch: Tensor) -> Tensor:
    """Elements 2i and 2i + 1 exchanged."""
    index = torch.arange(len(batch), device=batch.device) ^ 1
    return batch[index]


def soft_targets(labels: Tensor, classes: int, smoothing: float) -> Tensor:
    """Labels (N,) to probabilities (N, classes): 1 - smoothing, the rest spread over all."""
    off = smoothing / classes
    targets = torch.full((len(labels), classes), off, device=labels.device)
    return targets.scatter_(1, labels[:, None], 1 - smoothing + off)


def _to(array: np.ndarray, like: Tensor) -> Tensor:
    return torch.from_numpy(array).to(like.device, non_blocking=True)
