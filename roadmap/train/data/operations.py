"""The operations of RandAugment and TrivialAugmentWide on batches of uint8 (N, 3, H, W).

Each operation does the same as Pillow's on a single image (up to rounding, and bilinear where it
interpolates), for all images at once with one argument per image. It only changes the images that
drew it; the host knows which, so that nothing waits for the device.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from roadmap.train.data.augment import to_device
from roadmap.train.data.policies import GEOMETRIC, Op, Operations

#: Operations that map each value independently of its neighbors.
POINTWISE = (Op.BRIGHTNESS, Op.INVERT, Op.POSTERIZE, Op.SOLARIZE, Op.SOLARIZE_ADD)
#: Value maps that depend on the image's values.
STATISTICAL = (Op.CONTRAST, Op.AUTOCONTRAST, Op.EQUALIZE)
_MEMBER = np.eye(len(Op), dtype=bool)


def apply(images: Tensor, drawn: Operations, fill: tuple[int, int, int]) -> Tensor:
    """Apply the operations to ``images``, layer by layer; ``fill`` is for uncovered pixels."""
    for layer in range(drawn.code.shape[1]):
        images = _apply_layer(images, drawn.code[:, layer], drawn.argument[:, layer], fill)
    return images


def _apply_layer(
    images: Tensor, code: np.ndarray, argument: np.ndarray, fill: tuple[int, int, int]
) -> Tensor:
    def replace(
        operations: tuple[Op, ...], function: Callable[..., Tensor], *arguments: Any
    ) -> None:
        index = _places(code, *operations)
        if len(index):
            place = to_device(index, images.device)
            images[place] = function(images[place], code[index], argument[index], *arguments)

    replace(GEOMETRIC, move, fill)
    replace(POINTWISE + STATISTICAL, change_values)
    replace((Op.COLOR,), color)
    replace((Op.SHARPNESS,), sharpness)
    return images


def _places(code: np.ndarray, *operations: Op) -> np.ndarray:
    members: np.ndarray = np.logical_or.reduce(_MEMBER[list(operations)])
    return np.flatnonzero(members[code])


# -- geometry -----------------------------------------------------------------------------------


def matrices(code: np.ndarray, argument: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Return where each output pixel comes from: float32 (N, 2, 3) for images of ``size`` (W, H).

    Shears pivot on the top left corner, rotations on the center.
    """
    matrix = np.tile(np.eye(2, 3), (len(code), 1, 1))
    for operation, row, column in (
        (Op.SHEAR_X, 0, 1),
        (Op.SHEAR_Y, 1, 0),
        (Op.TRANSLATE_X, 0, 2),
        (Op.TRANSLATE_Y, 1, 2),
    ):
        here = code == operation
        matrix[here, row, column] = argument[here]
    here = code == Op.ROTATE
    angle = np.deg2rad(argument[here].astype(np.float64))
    cos, sin = np.cos(angle), np.sin(angle)
    turn = np.stack([np.stack([cos, -sin], 1), np.stack([sin, cos], 1)], 1)
    center = np.array(size) / 2
    matrix[here, :, :2] = turn
    matrix[here, :, 2] = center - turn @ center
    return matrix.astype(np.float32)


def move(
    images: Tensor, code: np.ndarray, argument: np.ndarray, fill: tuple[int, int, int]
) -> Tensor:
    """Apply shears, translations and rotations."""
    size = (images.shape[-1], images.shape[-2])
    return affine(images, to_device(matrices(code, argument, size), images.device), fill)


def affine(images: Tensor, matrix: Tensor, fill: tuple[int, int, int]) -> Tensor:
    """Sample output pixel p from the source at ``matrix`` (N, 2, 3) of p, or ``fill`` if outside.

    Bilinear; a pixel's center is half a pixel from its corner.
    """
    height, width = images.shape[-2:]
    x = torch.arange(width, device=images.device) + 0.5
    y = torch.arange(height, device=images.device)[:, None] + 0.5
    (a, b, c), (d, e, f) = (row.unbind(1) for row in matrix[..., None, None].unbind(1))
    source_x, source_y = a * x + b * y + c, d * x + e * y + f
    grid = torch.stack([source_x * (2 / width) - 1, source_y * (2 / height) - 1], dim=-1)
    pixels = F.grid_sample(
        images.float(), grid, mode="bilinear", padding_mode="border", align_corners=False
    )
    seen = (source_x >= 0) & (source_x < width) & (source_y >= 0) & (source_y < height)
    filling = torch.tensor(fill, dtype=torch.uint8, device=images.device)[:, None, None]
    return torch.where(seen[:, None], pixels.round_().to(torch.uint8), filling)


# -- values -------------------------------------------------------------------------------------


def change_values(images: Tensor, code: np.ndarray, argument: np.ndarray) -> Tensor:
    """Apply operations that map each of a channel's 256 values."""
    table = to_device(pointwise_tables(code, argument), images.device)[:, None]
    table = table.repeat(1, images.shape[1], 1)
    for operation, function in (
        (Op.CONTRAST, contrast_table),
        (Op.AUTOCONTRAST, autocontrast_table),
        (Op.EQUALIZE, equalize_table),
    ):
        index = _places(code, operation)
        if len(index):
            place = to_device(index, images.device)
            table[place] = function(images[place], to_device(argument[index], images.device))
    values = images.flatten(2).long()
    return table.gather(2, values).view_as(images)


def pointwise_tables(code: np.ndarray, argument: np.ndarray) -> np.ndarray:
    """Return the table of maps that do not depend on the image: uint8 (N, 256)."""
    value = np.arange(256)
    functions = {
        Op.BRIGHTNESS: lambda factor: np.clip(value.astype(np.float32) * factor, 0, 255),
        Op.INVERT: lambda none: 255 - value + 0 * none,
        Op.POSTERIZE: lambda bits: value & (256 - (1 << (8 - np.clip(bits, 0, 8).astype(int)))),
        Op.SOLARIZE: lambda start: np.where(value < start, value, 255 - value),
        Op.SOLARIZE_ADD: lambda more: np.where(value < 128, np.clip(value + more, 0, 255), value),
    }
    table = np.zeros((len(code), 256), dtype=np.uint8)
    for operation, function in functions.items():
        here = np.flatnonzero(code == operation)
        if len(here):
            table[here] = function(argument[here, None]).astype(np.uint8)
    return table


def equalize_table(images: Tensor, _argument: Tensor) -> Tensor:
    """Return tables that equalize histograms, as ``ImageOps.equalize``: uint8 (N, 3, 256)."""
    values = images.flatten(2).long()
    counts = torch.zeros(*values.shape[:2], 256, dtype=torch.long, device=images.device)
    counts.scatter_add_(2, values, torch.ones_like(values))
    last = counts.gather(2, values.amax(2, keepdim=True))
    step = (values.shape[2] - last) // 255
    before = counts.cumsum(2) - counts
    even = ((before + step // 2) // step.clamp(min=1)).clamp_(max=255)
    same = torch.arange(256, device=images.device)
    return torch.where(step > 0, even, same).to(torch.uint8)


def autocontrast_table(images: Tensor, _argument: Tensor) -> Tensor:
    """Return tables that stretch each channel to 0 to 255: uint8 (N, 3, 256)."""
    values = images.flatten(2)
    low, high = values.amin(2, keepdim=True).int(), values.amax(2, keepdim=True).int()
    value = torch.arange(256, dtype=torch.int32, device=images.device)
    stretched = ((value - low) * 255 // (high - low).clamp(min=1)).clamp_(0, 255)
    return torch.where(high > low, stretched, value).to(torch.uint8)


def contrast_table(images: Tensor, factor: Tensor) -> Tensor:
    """Return tables that move values from (factor > 1) or to the mean gray: uint8 (N, 1, 256)."""
    gray = grayscale(images)
    total = gray.sum(
        (1, 2, 3), keepdim=True
    )  # integers, so that the order of summation does not matter
    pixels = gray[0].numel()
    mean = (2 * total + pixels) // (2 * pixels)
    value = torch.arange(256, device=images.device)
    return _blend(mean, value, factor)[:, 0]


def color(images: Tensor, _code: np.ndarray, factor: np.ndarray) -> Tensor:
    """Change saturation: away from gray (factor > 1) or toward it."""
    return _blend(grayscale(images), images, to_device(factor, images.device))


def sharpness(images: Tensor, _code: np.ndarray, factor: np.ndarray) -> Tensor:
    """Change sharpness: away from a smoothed image or toward it; border pixels are unchanged."""
    if min(images.shape[-2:]) < 3:
        return images
    pixels = images.float()
    around = F.avg_pool2d(pixels, 3, stride=1) * 9 + 4 * pixels[..., 1:-1, 1:-1]
    smooth = pixels.clone()
    smooth[..., 1:-1, 1:-1] = (around / 13 + 0.5).floor_()
    return _blend(smooth, pixels, to_device(factor, images.device))


def grayscale(images: Tensor) -> Tensor:
    """Return ITU-R 601 luma in Pillow's integer arithmetic: int32 (N, 1, H, W)."""
    red, green, blue = images.int().unbind(1)
    return ((red * 19595 + green * 38470 + blue * 7471 + 32768) >> 16)[:, None]


def _blend(start: Tensor, end: Tensor, factor: Tensor) -> Tensor:
    """Return ``start + factor * (end - start)``, clipped to 0 and 255; one factor per image."""
    start = start.float()
    mixed = start + factor[:, None, None, None] * (end - start)
    return mixed.clamp_(0, 255).to(torch.uint8)
