"""CIFAR-100 in small: an archive in its format, and a slow local server."""

from __future__ import annotations

import hashlib
import io
import pickle
import tarfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest

FOLDER, ARCHIVE = "cifar-100-python", "cifar-100-python.tar.gz"
#: Parts that the server sends with a pause between them.
PARTS, PAUSE = 8, 0.2
#: Python runs this at its start: the class has the address and checksums of the small archive.
PATCH = """
import importlib.abc, importlib.machinery, sys

class Finder(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path, target=None):
        if name != "torchvision.datasets.cifar":
            return None
        sys.meta_path.remove(self)
        spec = importlib.machinery.PathFinder.find_spec(name, path)
        load = spec.loader.exec_module
        def patched(module):
            load(module)
            cifar = module.CIFAR100
            cifar.url, cifar.tgz_md5 = {url!r}, {md5!r}
            cifar.train_list, cifar.test_list = [["train", {train!r}]], [["test", {test!r}]]
            cifar.meta = cifar.meta | {{"md5": {meta!r}}}
        spec.loader.exec_module = patched
        return spec

sys.meta_path.insert(0, Finder())
"""


def archive(images: int = 320, classes: int = 4) -> tuple[bytes, dict[str, str]]:
    """An archive of ``images`` training images and a quarter as many test images, and the MD5 of
    each file in it."""
    random = np.random.default_rng(0)
    files = {"meta": {"fine_label_names": [f"class {number}" for number in range(classes)]}}
    for name, count in (("train", images), ("test", images // 4)):
        labels = np.arange(count) % classes
        pixels = random.integers(0, 80, (count, 3072)) + 40 * labels[:, None]
        files[name] = {"data": pixels.astype(np.uint8), "fine_labels": labels.tolist()}
    packed, sums = io.BytesIO(), {}
    with tarfile.open(fileobj=packed, mode="w:gz") as tar:
        for name, content in files.items():
            data = pickle.dumps(content)
            sums[name] = hashlib.md5(data).hexdigest()
            member = tarfile.TarInfo(f"{FOLDER}/{name}")
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
    return packed.getvalue(), sums


@dataclass
class Site:
    """What the server sends, and the offsets from which it was asked to."""

    content: bytes = field(repr=False)
    url: str = ""
    md5: str = ""
    sums: dict[str, str] = field(default_factory=dict)
    pause: float = PAUSE
    #: Whether it can send the rest of a file.
    has_ranges: bool = True
    #: Bytes after which it closes the next connection.
    ends_after: int | None = None
    asked: list[int] = field(default_factory=list)

    @property
    def size(self) -> int:
        return len(self.content)


@contextmanager
def served_cifar(folder: Path | None = None) -> Iterator[Site]:
    """Serve the archive, and write a ``sitecustomize.py`` to ``folder``."""
    content, sums = archive()
    site = Site(content, md5=hashlib.md5(content).hexdigest(), sums=sums)

    class Handler(BaseHTTPRequestHandler):
        def do_HEAD(self) -> None:
            self._head(0)

        def do_GET(self) -> None:
            start = int(self.headers.get("Range", "bytes=0-")[6:-1])
            site.asked.append(start)
            start = start if site.has_ranges else 0
            self._head(start)
            end, site.ends_after = site.ends_after, None
            step = -(-site.size // PARTS)
            for at in range(start, site.size, step):
                self.wfile.write(site.content[at : min(at + step, end or site.size)])
                self.wfile.flush()
                if end is not None and at + step >= end:
                    return
                time.sleep(site.pause)

        def _head(self, start: int) -> None:
            if start and start >= site.size:
                self.send_error(416)
                return
            self.send_response(206 if start else 200)
            self.send_header("Content-Length", str(site.size - start))
            self.end_headers()

        def log_message(self, *_arguments: object) -> None:
            pass

    with ThreadingHTTPServer(("localhost", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        site.url = f"http://localhost:{server.server_port}/{ARCHIVE}"
        if folder:
            text = PATCH.format(url=site.url, md5=site.md5, **sums)
            (folder / "sitecustomize.py").write_text(text)
        yield site
        server.shutdown()


def use(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """In this process: torchvision's class has the address and checksums of ``site``."""
    from torchvision.datasets import CIFAR100

    for name, value in {
        "url": site.url,
        "tgz_md5": site.md5,
        "train_list": [["train", site.sums["train"]]],
        "test_list": [["test", site.sums["test"]]],
        "meta": CIFAR100.meta | {"md5": site.sums["meta"]},
    }.items():
        monkeypatch.setattr(CIFAR100, name, value)
