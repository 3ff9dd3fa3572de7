"""Pictures to augment: crops of scikit-learn's two photographs, or the reader's own."""

from __future__ import annotations

import io
from collections.abc import Iterable
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Protocol

import numpy as np

from models.text import shortened

#: The longest side that is kept of an upload, and its most pixels and bytes, checked before.
LONGEST, MOST_PIXELS, MOST_BYTES = 512, 40_000_000, 10 * 2**20
MOST_UPLOADS = 8
#: File, left, top, side in pixels, what is seen. Neighbours are mixed, so files take turns.
CROPS = (
    ("china.jpg", 40, 15, 320, "A pagoda above a lake"),
    ("flower.jpg", 160, 70, 300, "An orange dahlia"),
    ("china.jpg", 330, 117, 310, "Trees above a lake"),
    ("flower.jpg", 200, 110, 215, "Petals of a dahlia"),
    ("china.jpg", 60, 140, 285, "Storeys of a pagoda"),
    ("flower.jpg", 230, 177, 250, "Two dahlias"),
)
#: As scikit-learn's ``datasets/images/README.txt`` says, with the names of the linked pages.
CREDITS = (
    ("china.jpg", "danielbuechele", "https://www.flickr.com/photos/danielbuechele/6061409035/"),
    ("flower.jpg", "vultilion", "https://www.flickr.com/photos/vultilion/6056698931/"),
)
LICENCE = ("CC BY 2.0", "https://creativecommons.org/licenses/by/2.0/")


class Upload(Protocol):
    """A file that the reader gave: Streamlit's ``UploadedFile``, as far as needed."""

    name: str
    size: int

    def getvalue(self) -> bytes: ...


@cache
def examples() -> tuple[tuple[np.ndarray, str], ...]:
    """Pictures, uint8 (H, W, 3), with what is seen in words. An even number."""
    from PIL import Image

    spec = find_spec("sklearn")  # importing it would take a second
    folder = Path(str(spec.origin)).parent / "datasets" / "images"
    files = {
        name: np.asarray(Image.open(folder / name).convert("RGB"))
        for name in dict.fromkeys(crop[0] for crop in CROPS)
    }
    return tuple(
        (files[name][top : top + side, left : left + side], seen)
        for name, left, top, side, seen in CROPS
    )


def read(uploads: Iterable[Upload]) -> tuple[list[tuple[np.ndarray, str]], list[str]]:
    """The readable ones with their names, and a sentence for each that is not."""
    from roadmap.train.images import DataError

    uploads = list(uploads)
    pictures, problems = [], []
    if len(uploads) > MOST_UPLOADS:
        problems.append(f"{len(uploads)} pictures were given; the first {MOST_UPLOADS} are used.")
    for upload in uploads[:MOST_UPLOADS]:
        try:
            pictures.append((_read(upload), upload.name))
        except DataError as error:
            problems.append(f"{error}.")
    return pictures, problems


def _read(upload: Upload) -> np.ndarray:
    """Raises ``DataError`` for a file that is too large or no picture."""
    from roadmap.train.images import DataError, decode, image_size, shrink

    name = shortened(upload.name, 60)
    if upload.size > MOST_BYTES:
        raise DataError(f"{name} has over {MOST_BYTES // 2**20} MB: use a smaller file")
    data = upload.getvalue()
    height, width = image_size(data, name)  # before decoding, which could take gigabytes
    if height * width > MOST_PIXELS:
        raise DataError(f"{name} has {height * width / 1e6:.0f} million pixels: use at most 40")
    return shrink(decode(data, name), LONGEST)


def paired(pictures: list[tuple[np.ndarray, str]]) -> list[tuple[np.ndarray, str]]:
    """An even number of pictures, since neighbours are mixed: one of ours is added to an odd."""
    return [*pictures, examples()[0]] if len(pictures) % 2 else pictures


def jpeg(picture: np.ndarray) -> bytes:
    from PIL import Image

    file = io.BytesIO()
    Image.fromarray(picture).save(file, "JPEG", quality=88)
    return file.getvalue()
