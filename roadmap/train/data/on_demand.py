"""Data on demand: a large set, read by workers during training.

Workers decode, crop and resize; everything after that happens on the device, as for data in
memory. A sample's crop depends on its position in the epoch, so that it does not matter which
worker handles it.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.connection import wait
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader, Dataset
from torch.utils.data.dataloader import _MultiProcessingDataLoaderIter
from torchvision.transforms import CenterCrop, Compose, Resize
from torchvision.transforms.functional import InterpolationMode

from roadmap.train.data import sampling
from roadmap.train.data.damage import ImageError
from roadmap.train.data.images import DataError
from roadmap.train.data.sampling import BatchPlan, View
from roadmap.train.data.split import Split

#: Images per task of a worker: few, so that workers share a batch and need little shared memory.
CHUNK = 32
#: Seconds that a worker continues after SIGTERM, so that a stopping run can finish its step.
GRACE = 10
#: Common signals that end a worker: probable cause and remedy.
DEATHS = {
    "SIGKILL": "probably out of memory: use fewer --workers, or close other programs, and start "
    "again",
    "SIGBUS": "probably because shared memory is full: enlarge /dev/shm (docker run --shm-size), "
    "or use --workers 0",
}
_STARTING = threading.Lock()

#: A sample: image index, and the key of its crop (none for validation images).
Sample = tuple[int, tuple[int, ...] | None]


@dataclass(frozen=True)
class OnDemand:
    """Data on demand, with the same methods as ``in_memory.InMemory``."""

    split: Split
    view: View
    device: torch.device
    workers: int

    def train_crops(self, groups: Iterable[list[BatchPlan]]) -> Iterator[Tensor]:
        parts: Iterator[list[Sample]] = (
            [
                (int(plan.images[place]), (*plan.key, place, sampling.IMAGE))
                for plan in plans
                for place in range(len(plan.images))[plan.mine]
            ]
            for plans in groups
        )
        return self._crops(parts)

    def val_crops(self, parts: Iterable[np.ndarray]) -> Iterator[Tensor]:
        return self._crops([(int(index), None) for index in part] for part in parts)

    def _crops(self, parts: Iterable[list[Sample]]) -> Iterator[Tensor]:
        """Yield one tensor per part, assembled from the workers' chunks in order."""
        sizes: list[int] = []
        loader = self._started(_chunks(parts, sizes))
        done = 0
        try:
            while True:
                chunks = [_checked(chunk) for chunk in _next(loader)]
                if not chunks:
                    return
                while sum(map(len, chunks)) < sizes[done]:
                    chunks += [_checked(chunk) for chunk in _next(loader)]
                done += 1
                yield torch.cat([chunk.to(self.device, non_blocking=True) for chunk in chunks])
        finally:
            # Left to the garbage collector after an error, workers would wait for their last
            # message until they are killed after many seconds.
            if isinstance(loader, _MultiProcessingDataLoaderIter):
                loader._shutdown_workers()

    def _started(self, chunks: Iterable[list[Sample]]) -> Iterator[Any]:
        loader = DataLoader(
            _Crops(self.split, self.view),
            batch_sampler=chunks,
            num_workers=self.workers,
            collate_fn=_same,
            pin_memory=self.device.type == "cuda",
            worker_init_fn=_start_worker,
            multiprocessing_context=_context() if self.workers else None,
            # Its own generator: the default one is the training run's.
            generator=torch.Generator(),
        )
        try:
            with _main_script_set_aside():
                return iter(loader)
        except (OSError, EOFError) as error:
            raise DataError(
                f"the {self.workers} data workers cannot be started ({error}): use fewer --workers"
            ) from None


def _chunks(parts: Iterable[list[Sample]], sizes: list[int]) -> Iterator[list[Sample]]:
    """Split ``parts`` into chunks that do not cross parts; append part lengths to ``sizes``."""
    for part in parts:
        sizes.append(len(part))
        for start in range(0, len(part), CHUNK):
            yield part[start : start + CHUNK]


def _next(loader: Iterator[Any]) -> list[Any]:
    """Return the next chunk in a list; the list is empty at the end."""
    try:
        return [next(loader)]
    except StopIteration:
        return []
    except (RuntimeError, OSError, EOFError):
        death = _death(getattr(loader, "_workers", ()))
        if death is None:
            raise
        raise DataError(f"a data worker died ({death})") from None


def _death(workers: Sequence[multiprocessing.process.BaseProcess]) -> str | None:
    """Return why one of ``workers`` ended, from its exit code; None if none did."""
    # The connection may break a moment before the worker ends.
    wait([worker.sentinel for worker in workers], timeout=1)
    code = next((worker.exitcode for worker in workers if worker.exitcode), None)
    if code is None:
        return None
    if code > 0:
        return f"exit code {code}; its message is on standard error"
    name = signal.Signals(-code).name
    return f"{name}, {DEATHS[name]}" if name in DEATHS else name


def _checked(chunk: Tensor | DataError) -> Tensor:
    if isinstance(chunk, DataError):
        raise ImageError(str(chunk))
    return chunk


def central_crop(view: View) -> Compose:
    """Return the transform of a test image: resize the shorter side, crop the center."""
    resize = Resize(view.test_resize, InterpolationMode(view.interpolation))
    return Compose([resize, CenterCrop(view.test_size)])


class _Crops(Dataset[Tensor]):
    def __init__(self, split: Split, view: View):
        self.split, self.view = split, view
        self.central = central_crop(view)

    def __getitems__(self, samples: list[Sample]) -> Tensor | DataError:
        # Returned, not raised: torch would convert it to a traceback.
        try:
            crops = [self._one(*sample) for sample in samples]
        except DataError as error:
            return error
        return torch.from_numpy(np.stack(crops)).permute(0, 3, 1, 2)

    def _one(self, index: int, key: tuple[int, ...] | None) -> np.ndarray:
        pixels = self.split.pixels(index)
        image = Image.fromarray(pixels)
        if key is None:
            return np.asarray(self.central(image))
        rng = sampling.generator(*key)
        sizes = np.array([pixels.shape[:2]], dtype=np.int64)
        crops = sampling.draw_crops(rng, sizes, self.view.area, self.view.flips)
        top, left, height, width = crops.box[0].tolist()
        image = image.crop((left, top, left + width, top + height))
        how = Image.Resampling[self.view.interpolation.upper()]
        crop = np.asarray(image.resize((self.view.train_size, self.view.train_size), how))
        return crop[:, ::-1] if crops.flip[0] else crop


def _same(chunk: Any) -> Any:
    return chunk


def _start_worker(_worker: int) -> None:
    """Ignore signals, which the main process handles while it still needs images."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda *_: signal.alarm(GRACE))
    threading.Thread(target=_end_with_training, daemon=True).start()


def _end_with_training() -> None:
    """End with the main process: our parent is the fork server, so torch's check fails."""
    training = multiprocessing.parent_process()
    assert training is not None  # this is a worker
    training.join()
    os._exit(1)


@contextmanager
def _main_script_set_aside() -> Iterator[None]:
    """Start processes that do not import the running script: without a main guard it would train
    again in each process, and after an edit it would run in its new version."""
    main = sys.modules["__main__"].__dict__
    with _STARTING:
        kept: dict[str, Any] = {
            name: main.pop(name) for name in ("__file__", "__spec__") if name in main
        }
        main["__spec__"] = None
        try:
            yield
        finally:
            main.update(kept)


def _context() -> multiprocessing.context.BaseContext:
    """Return a context whose workers are not forked from this process and its locks."""
    if "forkserver" not in multiprocessing.get_all_start_methods():
        return multiprocessing.get_context("spawn")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([__name__])  # so that workers start immediately
    return context


def default_workers() -> int:
    """Return this process's share of the machine's cores, at most 16."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return min(max((cores or 1) // int(os.environ.get("LOCAL_WORLD_SIZE", "1")), 1), 16)
