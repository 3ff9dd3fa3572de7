"""Preparing the next batches while a device works on this one."""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

import torch
from torch import Tensor

#: Batches that wait ready.
AHEAD = 2

Batch = tuple[Tensor, Tensor]


def prefetched(batches: Iterator[Batch], device: torch.device) -> Iterator[Batch]:
    """``batches``, on CUDA made in a thread and a stream of their own, a few ahead.

    The thread launches while the training loop launches or waits; the stream fills gaps that
    training leaves. Elsewhere ``batches`` as they are: a CPU has no idle half to use.
    """
    return threaded(batches, device) if device.type == "cuda" else batches


def threaded(batches: Iterator[Batch], device: torch.device) -> Iterator[Batch]:
    """``batches`` in order, made in a thread, which ends with the iterator. Errors in making
    one are raised in its place."""
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
    batches: Iterator[Batch], device: torch.device, ready: queue.Queue[Any], stop: threading.Event
) -> None:
    try:
        with _own_stream(device):
            for batch in batches:
                made = torch.cuda.current_stream().record_event() if batch[0].is_cuda else None
                ready.put((batch, made))
                if stop.is_set():
                    return
        ready.put(None)
    except BaseException as error:  # raised where the batch is asked for
        ready.put(error)


@contextmanager
def _own_stream(device: torch.device) -> Iterator[None]:
    if device.type != "cuda":
        yield
        return
    # The device too: a new thread does not inherit it.
    with torch.cuda.device(device), torch.cuda.stream(_stream(device)):
        yield


@cache
def _stream(device: torch.device) -> torch.cuda.Stream:
    """The same for every epoch: memory that one stream is done with is kept for that stream."""
    return torch.cuda.Stream(device)


def _handed_over(batch: Batch, made: torch.cuda.Event | None, device: torch.device) -> Batch:
    """``batch``, which the caller's stream now waits for and may use until it is done."""
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
