"""One image file to one array of RGB pixels, whatever it was encoded as."""

from __future__ import annotations

import io

import numpy as np
from PIL import Image, UnidentifiedImageError

#: Modes whose alpha channel says which pixels are seen.
_ALPHA = ("RGBA", "LA", "PA", "RGBa", "La")
#: Names that image files end in; anything else in a class folder is left alone.
EXTENSIONS = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff", ".ppm", ".pgm")


class DataError(ValueError):
    """Data that cannot be trained on: one sentence that names the file and what would be right."""


def decode(data: bytes, name: str) -> np.ndarray:
    """The first frame of an encoded image, uint8 (H, W, 3). ``DataError`` names ``name``."""
    try:
        with Image.open(io.BytesIO(data)) as image:
            return np.asarray(to_rgb(image))
    except DataError as error:
        raise DataError(f"{name}: {error}") from None
    except Exception as error:  # the decoders raise all sorts of things for a broken file
        raise DataError(f"{name} is not a readable image: {reason(error)}") from None


def image_size(data: bytes, name: str) -> tuple[int, int]:
    """(height, width) from the header alone. ``DataError`` for what is no image."""
    try:
        with Image.open(io.BytesIO(data)) as image:
            return image.height, image.width
    except Exception as error:
        raise DataError(f"{name} is not a readable image: {reason(error)}") from None


def to_rgb(image: Image.Image) -> Image.Image:
    """``image`` in RGB: gray repeated, palettes looked up, CMYK converted, alpha on white.

    16-bit gray is scaled to 8 bits, where a plain conversion would clip it to white. Orientation
    tags are not applied, as in timm and torchvision. Raises ``DataError`` for floating-point
    pixels, whose range nobody has told us.
    """
    if image.mode == "RGB" and "transparency" not in image.info:
        return image
    if image.mode in _ALPHA or "transparency" in image.info:
        seen = image.convert("RGBA")
        white = Image.new("RGBA", seen.size, (255, 255, 255, 255))
        return Image.alpha_composite(white, seen).convert("RGB")
    if image.mode.startswith("I"):
        return Image.fromarray(_eight_bits(np.asarray(image))).convert("RGB")
    if image.mode == "F":
        raise DataError("the pixels are floating-point numbers; save the image with 8 or 16 bits")
    return image.convert("RGB")


def _eight_bits(pixels: np.ndarray) -> np.ndarray:
    if pixels.min() < 0 or pixels.max() > 65535:
        raise DataError("the pixels have more than 16 bits; save the image with 8 or 16 bits")
    return ((pixels.astype(np.uint32) + 128) // 257).astype(np.uint8)


def shrink(pixels: np.ndarray, longest: int) -> np.ndarray:
    """``pixels`` (H, W, 3) scaled down so that neither side is over ``longest``."""
    height, width = pixels.shape[:2]
    if max(height, width) <= longest:
        return pixels
    scale = longest / max(height, width)
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    return np.asarray(Image.fromarray(pixels).resize(size, Image.Resampling.BICUBIC))


def reason(error: Exception) -> str:
    """An exception's message on one line, or its kind where it has none."""
    if isinstance(error, UnidentifiedImageError):  # its own message is an object's address
        return "its content is of no known format"
    return " ".join(str(error).split()) or type(error).__name__
