"""Pictures to augment: crops of scikit-learn's two photographs, or uploads."""

from __future__ import annotations

import io
import threading
from collections.abc import Iterable, MutableMapping
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Protocol

import numpy as np

from models.text import ended, shortened

#: Limits of an upload: the longest side after scaling, and bytes and millions of pixels, checked
#: before decoding. A JPEG is decoded at a smaller scale.
LONGEST, MOST_BYTES = 512, 10 * 2**20
MOST_PIXELS, MOST_PIXELS_JPEG = 16, 30
MOST_UPLOADS = 8
#: One picture is decoded at a time, since that takes up to 0.2 GB.
_DECODING = threading.Lock()
#: File, left, top, side in pixels, description. Neighbors are mixed, so the files alternate.
CROPS = (
    ("china.jpg", 40, 15, 320, "A pagoda above a lake"),
    ("flower.jpg", 160, 70, 300, "An orange dahlia"),
    ("china.jpg", 330, 117, 310, "Trees above a lake"),
    ("flower.jpg", 200, 110, 215, "Petals of a dahlia"),
    ("china.jpg", 60, 140, 285, "Tiers of a pagoda"),
    ("flower.jpg", 230, 177, 250, "Two dahlias"),
)
#: As scikit-learn's ``datasets/images/README.txt`` says, with the names of the linked pages.
CREDITS = (
    ("china.jpg", "danielbuechele", "https://www.flickr.com/photos/danielbuechele/6061409035/"),
    ("flower.jpg", "vultilion", "https://www.flickr.com/photos/vultilion/6056698931/"),
)
LICENSE = ("CC BY 2.0", "https://creativecommons.org/licenses/by/2.0/")


class Upload(Protocol):
    """An uploaded file: the part of Streamlit's ``UploadedFile`` used here."""

    name: str
    size: int

    def getvalue(self) -> bytes: ...


@cache
def examples() -> tuple[tuple[np.ndarray, str], ...]:
    """Return an even number of pictures, uint8 (H, W, 3), with their descriptions."""
    from PIL import Image

    spec = find_spec("sklearn")  # importing it would take a second
    assert spec is not None  # it is a requirement
    folder = Path(str(spec.origin)).parent / "datasets" / "images"
    files = {
        name: np.asarray(Image.open(folder / name).convert("RGB"))
        for name in dict.fromkeys(crop[0] for crop in CROPS)
    }
    return tuple(
        (files[name][top : top + side, left : left + side], seen)
        for name, left, top, side, seen in CROPS
    )


def read(
    uploads: Iterable[Upload], kept: MutableMapping[str, np.ndarray] | None = None
) -> tuple[list[tuple[np.ndarray, str]], list[str]]:
    """Return the readable uploads with their names, and a sentence per unreadable one.

    ``kept`` caches decoded pictures by Streamlit's ``file_id``; it is updated in place.
    """
    from roadmap.train.data.images import DataError

    uploads, before = list(uploads), dict(kept or {})
    if kept is not None:
        kept.clear()
    pictures, problems = [], []
    if len(uploads) > MOST_UPLOADS:
        problems.append(
            f"You uploaded {len(uploads)} pictures; only the first {MOST_UPLOADS} are used."
        )
    for upload in uploads[:MOST_UPLOADS]:
        key = getattr(upload, "file_id", "")
        try:
            picture = before[key] if key in before else _read(upload)
        except DataError as error:
            problems.append(ended(error))
            continue
        pictures.append((picture, shortened(upload.name, 60)))
        if kept is not None and key:
            kept[key] = picture
    return pictures, problems


def _read(upload: Upload) -> np.ndarray:
    """Decode an upload. Raises ``DataError`` if it is too large or not a picture."""
    from roadmap.train.data.images import DataError, decode, image_size

    name = shortened(upload.name, 60)
    if upload.size > MOST_BYTES:
        raise DataError(f"{name} is larger than {MOST_BYTES // 2**20} MB: use a smaller file")
    data = upload.getvalue()
    height, width = image_size(data, name)  # checked before decoding, which could take gigabytes
    most = MOST_PIXELS_JPEG if data.startswith(b"\xff\xd8") else MOST_PIXELS
    if height * width > most * 1e6:
        raise DataError(f"{name} has {height * width / 1e6:.0f} million pixels: use at most {most}")
    with _DECODING:
        return decode(data, name, longest=LONGEST)


def paired(pictures: list[tuple[np.ndarray, str]]) -> list[tuple[np.ndarray, str]]:
    """Add one of our pictures to an odd number, since pairs of neighbors are mixed."""
    return [*pictures, examples()[0]] if len(pictures) % 2 else pictures


def jpeg(picture: np.ndarray) -> bytes:
    from PIL import Image

    file = io.BytesIO()
    Image.fromarray(picture).save(file, "JPEG", quality=88)
    return file.getvalue()
