"""Decoding of an image file in any format to an array of RGB pixels."""

from __future__ import annotations

import functools
import io
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

#: Modes with an alpha channel.
_ALPHA = ("RGBA", "LA", "PA", "RGBa", "La")
#: Formats that Pillow recognizes but cannot decode without another program.
_NOT_DECODED = ("BUFR", "EPS", "GRIB", "HDF5", "MPEG", "WMF")

# Pillow warns from half of the size that it refuses; such images are read normally.
warnings.filterwarnings("ignore", category=Image.DecompressionBombWarning)
# An unreadable tag is ignored.
warnings.filterwarnings("ignore", "Corrupt EXIF data", module=r"PIL\.")


class DataError(ValueError):
    """Data that cannot be used for training; the message names the file and what works."""


@functools.cache
def image_endings() -> frozenset[str]:
    """Return the file extensions that Pillow decodes, in lower case with a dot."""
    known = Image.registered_extensions()
    decoded = {*Image.OPEN, "MPO"} - set(_NOT_DECODED)  # an MPO is opened as its first JPEG
    return frozenset(ending for ending, form in known.items() if form in decoded)


def decode(
    data: bytes, name: str, exif_orientation: bool = True, longest: int | None = None
) -> np.ndarray:
    """Decode the first frame of an image to uint8 (H, W, 3). ``DataError`` names ``name``.

    With ``exif_orientation``, the image is rotated by its orientation tag. ``longest`` scales it
    down to this longest side, in much less memory than scaling the whole image.
    """
    with _opened(data, name) as image:
        small = image if longest is None else _reduced(image, longest)
        pixels = np.asarray(to_rgb(upright(small) if exif_orientation else small))
    return pixels if longest is None else shrink(pixels, longest)


def image_size(data: bytes, name: str) -> tuple[int, int]:
    """Return (height, width) from the header. Raises ``DataError`` if it is not an image."""
    with _opened(data, name) as image:
        return image.height, image.width


@contextmanager
def _opened(data: bytes, name: str) -> Iterator[Image.Image]:
    """Open the image in ``data``; every error inside becomes a ``DataError`` with its name."""
    if not data:
        raise DataError(f"{name} is empty (0 bytes)")
    try:
        with Image.open(io.BytesIO(data)) as image:
            yield image
    except DataError as error:
        raise DataError(f"{name}: {error}") from None
    except Image.DecompressionBombError as error:
        raise DataError(f"{name} {_too_large(error)}") from None
    except Exception as error:  # decoders raise any error for a damaged file
        raise DataError(f"{name} is not a readable image: {reason(error)}") from None


def _too_large(error: Image.DecompressionBombError) -> str:
    pixels, limit = (f"{int(number):,}" for number in re.findall(r"\d+", str(error))[:2])
    return f"has {pixels} pixels, and the limit is {limit}: make the image smaller"


def _reduced(image: Image.Image, longest: int) -> Image.Image:
    """Reduce ``image`` by averaging whole pixels; its longest side stays at least ``longest``."""
    image.draft(None, (longest, longest))  # JPEG is decoded at that scale
    factor = max(image.size) // longest
    if factor < 2 or image.mode.startswith(("I", "F")):
        return image
    if "transparency" in image.info or image.mode in _ALPHA:
        return image.convert("RGBA").reduce(factor)
    return (image if image.mode in ("RGB", "L") else image.convert("RGB")).reduce(factor)


def upright(image: Image.Image) -> Image.Image:
    """Rotate ``image`` in place by its EXIF orientation tag."""
    image.load()
    with suppress(Exception):  # a broken tag is ignored
        ImageOps.exif_transpose(image, in_place=True)
    return image


def to_rgb(image: Image.Image) -> Image.Image:
    """Convert ``image`` to RGB: gray, palettes and CMYK are converted, alpha is put on white.

    16-bit gray is scaled to 8 bits, since a plain conversion would clip it to white. Raises
    ``DataError`` for floating-point pixels, whose range is unknown.
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
        raise DataError("its pixels are floating-point numbers; save the image with 8 or 16 bits")
    return image.convert("RGB")


def _eight_bits(pixels: np.ndarray) -> np.ndarray:
    if pixels.min() < 0 or pixels.max() > 65535:
        raise DataError("its pixels have more than 16 bits; save the image with 8 or 16 bits")
    return ((pixels.astype(np.uint32) + 128) // 257).astype(np.uint8)


def shrink(pixels: np.ndarray, longest: int) -> np.ndarray:
    """Scale ``pixels`` (H, W, 3) down so that no side is over ``longest``."""
    height, width = pixels.shape[:2]
    if max(height, width) <= longest:
        return pixels
    scale = longest / max(height, width)
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    return np.asarray(Image.fromarray(pixels).resize(size, Image.Resampling.BICUBIC))


def reason(error: Exception) -> str:
    """Return an exception's message on one line, or its type if it has none."""
    if isinstance(error, UnidentifiedImageError):  # its message is only an object's address
        return "unknown file format"
    return " ".join(str(error).split()) or type(error).__name__
