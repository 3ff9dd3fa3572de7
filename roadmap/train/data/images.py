"""One image file to one array of RGB pixels, whatever it was encoded as."""

from __future__ import annotations

import functools
import io
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

#: Modes whose alpha channel says which pixels are seen.
_ALPHA = ("RGBA", "LA", "PA", "RGBa", "La")
#: Formats that Pillow identifies but does not decode, or only with another program.
_NOT_DECODED = ("BUFR", "EPS", "GRIB", "HDF5", "MPEG", "WMF")

# From half of the size that Pillow refuses; such an image is read like any other.
warnings.filterwarnings("ignore", category=Image.DecompressionBombWarning)
# A tag that cannot be read changes nothing.
warnings.filterwarnings("ignore", "Corrupt EXIF data", module=r"PIL\.")


class DataError(ValueError):
    """Data that cannot be trained on: one sentence that names the file and what would be right."""


@functools.cache
def image_endings() -> frozenset[str]:
    """The endings of files that Pillow decodes, in lower case with their dot."""
    known = Image.registered_extensions()
    decoded = {*Image.OPEN, "MPO"} - set(_NOT_DECODED)  # an MPO is opened as the JPEG it begins as
    return frozenset(ending for ending, form in known.items() if form in decoded)


def decode(
    data: bytes, name: str, exif_orientation: bool = True, longest: int | None = None
) -> np.ndarray:
    """The first frame of an encoded image, uint8 (H, W, 3). ``DataError`` names ``name``.

    ``exif_orientation``: turned as its orientation tag says. ``longest``: scaled down to a longest
    side of that many pixels, in much less memory than scaling the whole image takes.
    """
    with _opened(data, name) as image:
        small = image if longest is None else _reduced(image, longest)
        pixels = np.asarray(to_rgb(upright(small) if exif_orientation else small))
    return pixels if longest is None else shrink(pixels, longest)


def image_size(data: bytes, name: str) -> tuple[int, int]:
    """(height, width) from the header alone. ``DataError`` for what is no image."""
    with _opened(data, name) as image:
        return image.height, image.width


@contextmanager
def _opened(data: bytes, name: str) -> Iterator[Image.Image]:
    """The image in ``data``; whatever goes wrong with it is a ``DataError`` with its name."""
    if not data:
        raise DataError(f"{name} is empty (0 bytes)")
    try:
        with Image.open(io.BytesIO(data)) as image:
            yield image
    except DataError as error:
        raise DataError(f"{name}: {error}") from None
    except Image.DecompressionBombError as error:
        raise DataError(f"{name} {_too_large(error)}") from None
    except Exception as error:  # the decoders raise all sorts of things for a broken file
        raise DataError(f"{name} is not a readable image: {reason(error)}") from None


def _too_large(error: Image.DecompressionBombError) -> str:
    pixels, limit = (f"{int(number):,}" for number in re.findall(r"\d+", str(error))[:2])
    return f"has {pixels} pixels, and at most {limit} are read: make the image smaller"


def _reduced(image: Image.Image, longest: int) -> Image.Image:
    """``image`` with a longest side of at least ``longest``, by averaging whole pixels."""
    image.draft(None, (longest, longest))  # JPEG: decoded at that scale
    factor = max(image.size) // longest
    if factor < 2 or image.mode.startswith(("I", "F")):
        return image
    if "transparency" in image.info or image.mode in _ALPHA:
        return image.convert("RGBA").reduce(factor)
    return (image if image.mode in ("RGB", "L") else image.convert("RGB")).reduce(factor)


def upright(image: Image.Image) -> Image.Image:
    """``image``, itself turned as its EXIF orientation tag says."""
    image.load()
    with suppress(Exception):  # a broken tag is none
        ImageOps.exif_transpose(image, in_place=True)
    return image


def to_rgb(image: Image.Image) -> Image.Image:
    """``image`` in RGB: gray repeated, palettes looked up, CMYK converted, alpha on white.

    16-bit gray is scaled to 8 bits, where a plain conversion would clip it to white. Raises
    ``DataError`` for floating-point pixels, whose range nobody has told us.
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
