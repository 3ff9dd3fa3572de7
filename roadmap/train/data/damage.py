"""Images that cannot be read: all of them at once, so that they can be repaired at once."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor

from roadmap.train.data.images import DataError, image_size
from roadmap.train.data.split import EncodedSplit, Split

#: Damaged images that a message names; of more it gives the number.
NAMED = 20
#: Seconds to look for others once one was found.
SECONDS = 60
#: Images read before the clock is looked at, and the threads that read them.
BLOCK, THREADS = 1024, 16
#: What a file ends with, by what it begins with; some programs write a few bytes after it.
ENDS = {b"\xff\xd8": b"\xff\xd9", b"\x89PNG": b"IEND"}
TAIL = 64


class ImageError(DataError):
    """An image that could not be read on the way."""


def check_file(split: Split, index: int) -> None:
    """Read the header of an image, and all of it where there is none or its file seems cut off.

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
    """``first`` and every other image of ``splits`` for which ``read`` raises ``DataError``.

    Looks for them for about ``SECONDS``.
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
