"""CIFAR-10 and CIFAR-100: their sizes, how much is here, and the download. Imports no torch.

torchvision downloads them too, but starts an interrupted download again, from several processes at
once into one file, and leaves half of a folder behind if unpacking fails.
"""

from __future__ import annotations

import shutil
import sys
import tarfile
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.parse import urlsplit

from roadmap.files import PARTIAL
from roadmap.tables.results import START
from roadmap.train.data.images import DataError, reason

#: Folder for torchvision's data sets.
ROOT = "data"
CHUNK = 2**16  # bytes
TIMEOUT = 60  # seconds that a server may be silent


@dataclass(frozen=True)
class Download:
    """A data set's archive ``file`` of ``size`` bytes, which unpacks to ``folder``.

    ``name`` is that of torchvision's class, which has the address and the checksums.
    """

    title: str
    name: str
    file: str
    folder: str
    size: int
    train_images: int
    val_images: int

    @property
    def here(self) -> int:
        """The number of bytes that have been downloaded so far."""
        root = (START or Path.cwd()) / ROOT
        if (root / self.folder).is_dir():
            return self.size
        return min(max(_size(root / self.file), _size(root / f"{self.file}{PARTIAL}")), self.size)


#: By their names in ``--data``. Sizes as torchvision's servers state them.
DOWNLOADS = {
    "torch/cifar100": Download(
        *("CIFAR-100", "CIFAR100", "cifar-100-python.tar.gz", "cifar-100-python"),
        *(169_001_437, 50_000, 10_000),
    ),
    "torch/cifar10": Download(
        *("CIFAR-10", "CIFAR10", "cifar-10-python.tar.gz", "cifar-10-batches-py"),
        *(170_498_071, 50_000, 10_000),
    ),
}


def fetch(name: str) -> None:
    """Download and unpack ``name`` of ``DOWNLOADS`` to ``ROOT``, unless it is there.

    An interrupted download continues. Raises ``DataError``.
    """
    import torchvision.datasets
    from torchvision.datasets.utils import check_md5

    one, root = DOWNLOADS[name], Path(ROOT)
    known = getattr(torchvision.datasets, one.name)
    try:
        root.mkdir(parents=True, exist_ok=True)
        with _alone(root / f"{one.file}.lock"):
            if _is_whole(root / one.folder, known):
                return
            archive = root / one.file
            if not (archive.is_file() and check_md5(archive, known.tgz_md5)):
                partial = root / f"{one.file}{PARTIAL}"
                _download(known.url, partial, one)
                if not check_md5(partial, known.tgz_md5):
                    partial.unlink()
                    raise DataError(
                        f"{name} is not available: {known.url} sent a file that is not "
                        f"{one.title} (its MD5 is not {known.tgz_md5}); the file was deleted, so "
                        "the same command downloads it again"
                    )
                partial.replace(archive)
            _unpack(archive, root / one.folder)
    except (OSError, HTTPException, EOFError, tarfile.TarError) as error:
        said = getattr(error, "strerror", None) or reason(error)
        raise DataError(f"{name} is not available: {said}") from None


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    """Wait until no other process is here; not on file systems without locks."""
    from filelock import FileLock

    lock = FileLock(path)
    with suppress(NotImplementedError):
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


def _is_whole(folder: Path, known: Any) -> bool:
    """Whether all files of torchvision's data set ``known`` are in ``folder``, unchanged."""
    from torchvision.datasets.utils import check_integrity

    files = [*known.train_list, *known.test_list, (known.meta["filename"], known.meta["md5"])]
    return all(check_integrity(folder / file, md5) for file, md5 in files)


def _download(url: str, partial: Path, one: Download) -> None:
    """Download ``url`` to ``partial``, from where an earlier download ended. Raises ``OSError``."""
    from tqdm import tqdm

    have = _size(partial)
    asked = urllib.request.Request(url, headers={"Range": f"bytes={have}-"} if have else {})
    with _answer(asked, have) as answer:
        if answer is None:
            return
        if answer.status != 206:  # Partial Content: else the server sends the whole file
            have = 0
        whole = have + int(answer.headers["Content-Length"] or 0)
        print(
            f"Downloading {one.title} from {urlsplit(url).netloc} to {partial.parent}/: "
            f"{one.size / 1e6:.0f} MB" + (f", {have / 1e6:.0f} MB are here." if have else "."),
            file=sys.stderr,
        )
        with (
            partial.open("ab" if have else "wb") as file,
            tqdm(
                total=whole or None,
                initial=have,
                unit="B",
                unit_scale=True,
                disable=None,  # except in a terminal
            ) as bar,
        ):
            while chunk := _next(answer):
                bar.update(file.write(chunk))
    if _size(partial) < whole:
        raise OSError(
            f"the connection ended after {_size(partial) / 1e6:.0f} of {whole / 1e6:.0f} MB; the "
            "same command continues the download"
        )


def _next(answer: Any) -> bytes:
    """Read on; nothing after the connection was lost."""
    try:
        return answer.read(CHUNK)
    except (OSError, HTTPException):
        return b""


@contextmanager
def _answer(asked: urllib.request.Request, have: int) -> Iterator[Any]:
    """Yield the server's answer; None if it says that there is nothing after ``have`` bytes."""
    try:
        answer = urllib.request.urlopen(asked, timeout=TIMEOUT)
    except HTTPError as error:
        if not (have and error.code == 416):
            raise
        yield None
        return
    except URLError as error:
        said = getattr(error.reason, "strerror", None) or error.reason
        raise OSError(f"{asked.host} cannot be reached: {said}") from None
    with answer:
        yield answer


def _unpack(archive: Path, folder: Path) -> None:
    """Unpack the one folder of ``archive`` to ``folder``, all of it or nothing."""
    partial = folder.with_name(folder.name + PARTIAL)
    shutil.rmtree(partial, ignore_errors=True)
    try:
        with tarfile.open(archive) as packed:
            # A name outside of the folder is refused, where Python can.
            packed.extraction_filter = getattr(tarfile, "data_filter", lambda member, _: member)
            packed.extractall(partial)
        shutil.rmtree(folder, ignore_errors=True)  # half of one, from an earlier version
        (partial / folder.name).replace(folder)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
