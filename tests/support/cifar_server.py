"""CIFAR-100 in small: an archive in its format, and a slow local server that torchvision uses."""

from __future__ import annotations

import hashlib
import io
import pickle
import tarfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np

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


@contextmanager
def served_cifar(site: Path) -> Iterator[int]:
    """Serve the archive, and write a ``sitecustomize.py`` to ``site``; yield the archive's size."""
    content, sums = archive()

    class Handler(BaseHTTPRequestHandler):
        def do_HEAD(self) -> None:
            self.send_response(200)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()

        def do_GET(self) -> None:
            self.do_HEAD()
            step = -(-len(content) // PARTS)
            for start in range(0, len(content), step):
                self.wfile.write(content[start : start + step])
                self.wfile.flush()
                time.sleep(PAUSE)

        def log_message(self, *_arguments: object) -> None:
            pass

    with ThreadingHTTPServer(("localhost", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://localhost:{server.server_port}/{ARCHIVE}"
        md5 = hashlib.md5(content).hexdigest()
        (site / "sitecustomize.py").write_text(PATCH.format(url=url, md5=md5, **sums))
        yield len(content)
        server.shutdown()
