"""Unreadable images, reported together so that they can be repaired together."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from roadmap.train.data.images import DataError, image_size
from roadmap.train.data.split import EncodedSplit, Split

#: Most damaged images named in a message; the others are counted.
NAMED = 20
#: Seconds to search for others once one was found.
SECONDS = 60
#: Most image headers checked before training; in larger sets, evenly spaced ones.
CHECKED = 100_000
#: Images read between checks of the time, and threads that read them.
BLOCK, THREADS = 1024, 16
#: End markers by file signature; some programs write a few bytes after the marker.
ENDS = {b"\xff\xd8": b"\xff\xd9", b"\x89PNG": b"IEND"}
TAIL = 64


class ImageError(DataError):
    """An image that could not be read during training."""


def check_headers(split: Split) -> None:
    """Read the headers of all images, or of ``CHECKED`` evenly spaced ones. This takes seconds;
    decoding ImageNet would take an hour. Raises ``DataError`` for files that are not images or
    are truncated."""
    count = len(split.labels)
    indices = np.linspace(0, count - 1, min(count, CHECKED)).astype(int).tolist()
    with ThreadPoolExecutor(THREADS) as pool:
        for _ in pool.map(lambda index: check_file(split, index), indices):
            pass


def check_file(split: Split, index: int) -> None:
    """Read an image's header, or all of it if there is no header or the file seems truncated.

    Raises ``DataError``.
    """
    if not isinstance(split, EncodedSplit):
        split.pixels(index)
        return
    data = split.data(index)
    image_size(data, split.name(index))
    end = next((end for start, end in ENDS.items() if data.startswith(start)), b"")
    if end not in data[-TAIL:]:
        split.pixels(index)


def read_pixels(split: Split, index: int) -> None:
    split.pixels(index)


def all_damaged(
    splits: Iterable[Split], first: DataError, read: Callable[[Split, int], None] = read_pixels
) -> ImageError:
    """Return an error that names ``first`` and all other images that ``read`` fails on.

    Searches for about ``SECONDS``.
    """
    sentences, looked, total = [str(first)], 0, 0
    end = time.monotonic() + SECONDS
    for split in splits:
        count = len(split.labels)
        total += count
        for start in range(0, count, BLOCK):
            if time.monotonic() > end:
                break
            block = range(start, min(start + BLOCK, count))
            sentences += _faults(split, block, read)
            looked += len(block)
    return ImageError(_listed(list(dict.fromkeys(sentences)), looked, total))


def _faults(split: Split, indices: range, read: Callable[[Split, int], None]) -> list[str]:
    def fault(index: int) -> str | None:
        try:
            read(split, index)
        except DataError as error:
            return str(error)
        return None

    with ThreadPoolExecutor(THREADS) as pool:
        return [sentence for sentence in pool.map(fault, indices) if sentence]


def _listed(sentences: list[str], looked: int, total: int) -> str:
    named = "; ".join(sentences[:NAMED])
    if len(sentences) == 1:
        return named
    more = f"; and {len(sentences) - NAMED:,} more" if len(sentences) > NAMED else ""
    among = f" of the first {looked:,}" if looked < total else ""
    return f"{len(sentences):,} images{among} cannot be read: {named}{more}"
