"""The operations of RandAugment and TrivialAugmentWide on a batch of uint8 (N, 3, H, W).

Each does what Pillow does to a single image (to within rounding, and bilinear where an operation
interpolates), all images at once with an argument each. An operation only touches the images that
drew it; which they are is known on the host, so that nothing waits for the device.
"""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from roadmap.train.policies import GEOMETRIC, Op, Operations

#: Operations that map each value to another, whatever stands around it.
POINTWISE = (Op.BRIGHTNESS, Op.INVERT, Op.POSTERIZE, Op.SOLARIZE, Op.SOLARIZE_ADD)
#: Those whose map depends on the image's own values.
STATISTICAL = (Op.CONTRAST, Op.AUTOCONTRAST, Op.EQUALIZE)
_MEMBER = np.eye(len(Op), dtype=bool)


def apply(images: Tensor, drawn: Operations, fill: tuple[int, int, int]) -> Tensor:
    """``images`` after their operations, layer by layer; ``fill`` is for uncovered pixels."""
    for layer in range(drawn.code.shape[1]):
        images = _apply_layer(images, drawn.code[:, layer], drawn.argument[:, layer], fill)
    return images


def _apply_layer(
    images: Tensor, code: np.ndarray, argument: np.ndarray, fill: tuple[int, int, int]
) -> Tensor:
    def chosen(*operations: Op) -> np.ndarray:
        return np.flatnonzero(_MEMBER[list(operations)].any(axis=0)[code])

    def replace(index: np.ndarray, function, *arguments) -> None:
        if len(index):
            place = _to(index, images)
            images[place] = function(images[place], *arguments)

    index = chosen(*GEOMETRIC)
    size = (images.shape[-1], images.shape[-2])
    replace(index, affine, _to(matrices(code[index], argument[index], size), images), fill)
    index = chosen(*POINTWISE)
    replace(index, look_up, _to(tables(code[index], argument[index]), images)[:, None])
    index = chosen(Op.CONTRAST)
    replace(index, contrast, _to(argument[index], images))
    replace(chosen(Op.AUTOCONTRAST), autocontrast)
    replace(chosen(Op.EQUALIZE), equalize)
    index = chosen(Op.COLOR)
    replace(index, color, _to(argument[index], images))
    index = chosen(Op.SHARPNESS)
    replace(index, sharpness, _to(argument[index], images))
    return images


def _to(array: np.ndarray, like: Tensor) -> Tensor:
    return torch.from_numpy(array).to(like.device, non_blocking=True)


# -- geometry -----------------------------------------------------------------------------------


def matrices(code: np.ndarray, argument: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Where each output pixel comes from: float32 (N, 2, 3) for images of ``size`` (W, H).

    Shears pivot on the top left corner, rotations on the centre.
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
    centre = np.array(size) / 2
    matrix[here, :, :2] = turn
    matrix[here, :, 2] = centre - turn @ centre
    return matrix.astype(np.float32)


def affine(images: Tensor, matrix: Tensor, fill: tuple[int, int, int]) -> Tensor:
    """Output pixel p shows the source at ``matrix`` (N, 2, 3) of p, or ``fill`` if outside.

    Bilinear; a pixel's centre lies half a pixel from its corner.
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


def tables(code: np.ndarray, argument: np.ndarray) -> np.ndarray:
    """What each of the 256 values becomes under pointwise operations: uint8 (N, 256)."""
    value = np.arange(256, dtype=np.int64)
    argument = argument[:, None]
    bits = np.clip(argument, 0, 8).astype(np.int64)
    results = {
        Op.BRIGHTNESS: np.clip(value.astype(np.float32) * argument, 0, 255),
        Op.INVERT: 255 - value + 0 * bits,
        Op.POSTERIZE: value & (256 - (1 << (8 - bits))),
        Op.SOLARIZE: np.where(value < argument, value, 255 - value),
        Op.SOLARIZE_ADD: np.where(value < 128, np.clip(value + argument, 0, 255), value),
    }
    table = np.zeros((len(code), 256), dtype=np.uint8)
    for operation, result in results.items():
        here = code == operation
        table[here] = result[here].astype(np.uint8)
    return table


def look_up(images: Tensor, table: Tensor) -> Tensor:
    """Each value of ``images`` replaced by ``table`` uint8 (N, 3 or 1, 256)."""
    count, channels = images.shape[:2]
    index = images.reshape(count, channels, -1).long()
    return table.expand(-1, channels, -1).gather(2, index).view_as(images)


def equalize(images: Tensor) -> Tensor:
    """Each channel's histogram made even, as ``ImageOps.equalize``."""
    values = images.flatten(2).long()
    counts = torch.zeros(*values.shape[:2], 256, dtype=torch.long, device=images.device)
    counts.scatter_add_(2, values, torch.ones_like(values))
    last = counts.gather(2, values.amax(2, keepdim=True))
    step = (values.shape[2] - last) // 255
    before = counts.cumsum(2) - counts
    even = ((before + step // 2) // step.clamp(min=1)).clamp_(max=255)
    same = torch.arange(256, device=images.device)
    return look_up(images, torch.where(step > 0, even, same).to(torch.uint8))


def autocontrast(images: Tensor) -> Tensor:
    """Each channel's values stretched over 0 to 255."""
    values = images.flatten(2)
    low, high = values.amin(2, keepdim=True).int(), values.amax(2, keepdim=True).int()
    value = torch.arange(256, dtype=torch.int32, device=images.device)
    stretched = ((value - low) * 255 // (high - low).clamp(min=1)).clamp_(0, 255)
    return look_up(images, torch.where(high > low, stretched, value).to(torch.uint8))


def contrast(images: Tensor, factor: Tensor) -> Tensor:
    """Away from the image's mean gray (factor over 1) or towards it."""
    gray = grayscale(images)
    total = gray.sum((1, 2, 3), keepdim=True)  # whole numbers, so that order does not matter
    pixels = gray[0].numel()
    mean = (2 * total + pixels) // (2 * pixels)
    value = torch.arange(256, device=images.device)
    return look_up(images, _blend(mean, value, factor)[:, 0])


def color(images: Tensor, factor: Tensor) -> Tensor:
    """Away from gray or towards it."""
    return _blend(grayscale(images), images, factor)


def sharpness(images: Tensor, factor: Tensor) -> Tensor:
    """Away from a smoothed image or towards it; the outermost pixels stay."""
    if min(images.shape[-2:]) < 3:
        return images
    pixels = images.float()
    around = F.avg_pool2d(pixels, 3, stride=1) * 9 + 4 * pixels[..., 1:-1, 1:-1]
    smooth = pixels.clone()
    smooth[..., 1:-1, 1:-1] = (around / 13 + 0.5).floor_()
    return _blend(smooth, pixels, factor)


def grayscale(images: Tensor) -> Tensor:
    """Luma of ITU-R 601 in Pillow's integer arithmetic: int32 (N, 1, H, W)."""
    red, green, blue = images.int().unbind(1)
    return ((red * 19595 + green * 38470 + blue * 7471 + 32768) >> 16)[:, None]


def _blend(start: Tensor, end: Tensor, factor: Tensor) -> Tensor:
    """``start + factor * (end - start)``, cut off at 0 and 255; a factor each image."""
    start = start.float()
    mixed = start + factor[:, None, None, None] * (end - start)
    return mixed.clamp_(0, 255).to(torch.uint8)
