"""Prefetching: prepare the next batches while the device processes the current one."""

from __future__ import annotations

import queue
import threading
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

import torch
from torch import Tensor

#: Batches prepared in advance.
AHEAD = 2

ReadyBatch = tuple[Tensor, Tensor]
Batches = Generator[ReadyBatch, None, None]


def prefetched(batches: Batches, device: torch.device) -> Batches:
    """Prepare ``batches`` in advance, on CUDA in a separate thread and stream.

    The thread launches kernels while the training loop launches or waits, and the stream fills the
    gaps of training. On other devices ``batches`` is returned unchanged: a CPU has no idle part.
    """
    return threaded(batches, device) if device.type == "cuda" else batches


def threaded(batches: Iterator[ReadyBatch], device: torch.device) -> Batches:
    """Yield ``batches`` in order, prepared in a thread that ends with the iterator. Errors are
    raised in place of their batch."""
    ready: queue.Queue[Any] = queue.Queue(maxsize=AHEAD)
    stop = threading.Event()
    thread = threading.Thread(target=_fill, args=(batches, device, ready, stop), daemon=True)
    thread.start()
    try:
        while (item := ready.get()) is not None:
            if isinstance(item, BaseException):
                raise item
            batch, made = item
            yield _handed_over(batch, made, device)
    finally:
        stop.set()
        while thread.is_alive():
            _drain(ready)
            thread.join(0.01)


def _fill(
    batches: Iterator[ReadyBatch],
    device: torch.device,
    ready: queue.Queue[Any],
    stop: threading.Event,
) -> None:
    try:
        with _own_stream(device):
            for batch in batches:
                made = torch.cuda.current_stream().record_event() if batch[0].is_cuda else None
                ready.put((batch, made))
                if stop.is_set():
                    return
        ready.put(None)
    except BaseException as error:  # raised when the batch is requested
        ready.put(error)


@contextmanager
def _own_stream(device: torch.device) -> Iterator[None]:
    if device.type != "cuda":
        yield
        return
    # A new thread does not inherit the current device.
    with torch.cuda.device(device), torch.cuda.stream(_stream(device)):
        yield


@cache
def _stream(device: torch.device) -> torch.cuda.Stream:
    """Return one stream for all epochs, since freed memory stays reserved for its stream."""
    return torch.cuda.Stream(device)


def _handed_over(
    batch: ReadyBatch, made: torch.cuda.Event | None, device: torch.device
) -> ReadyBatch:
    """Return ``batch`` after making the caller's stream wait for it."""
    if made is not None:
        stream = torch.cuda.current_stream(device)
        stream.wait_event(made)
        for tensor in batch:
            tensor.record_stream(stream)
    return batch


def _drain(ready: queue.Queue[Any]) -> None:
    while True:
        try:
            ready.get_nowait()
        except queue.Empty:
            return
