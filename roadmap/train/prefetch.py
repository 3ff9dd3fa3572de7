"""Preparing the next batches while a device works on this one."""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

AHEAD = 2

Batch = tuple[Tensor, Tensor]


def prefetched(batches: Iterator[Batch], device: torch.device) -> Iterator[Batch]:
    """``batches``, on CUDA made in a thread and a stream of their own, two ahead.

    The thread launches while the training loop launches or waits; the stream fills gaps that
    training leaves. Elsewhere ``batches`` as they are: a CPU has no idle half to use.
    """
    return _threaded(batches, device) if device.type == "cuda" else batches


def _threaded(batches: Iterator[Batch], device: torch.device) -> Iterator[Batch]:
    ready: queue.Queue[Any] = queue.Queue(maxsize=AHEAD)
    stop = threading.Event()
    thread = threading.Thread(target=_fill, args=(batches, device, ready, stop), daemon=True)
    thread.start()
    try:
        while (item := ready.get()) is not None:
            if isinstance(item, BaseException):
                raise item
            batch, made = item
            stream = torch.cuda.current_stream(device)
            stream.wait_event(made)
            for tensor in batch:
                tensor.record_stream(stream)  # its memory is not reused before training is done
            yield batch
    finally:
        stop.set()
        while thread.is_alive():
            _drain(ready)
            thread.join(0.01)


def _fill(
    batches: Iterator[Batch], device: torch.device, ready: queue.Queue, stop: threading.Event
) -> None:
    try:
        stream = torch.cuda.Stream(device)
        with torch.cuda.device(device), torch.cuda.stream(stream):
            for batch in batches:
                ready.put((batch, stream.record_event()))
                if stop.is_set():
                    return
        ready.put(None)
    except BaseException as error:  # raised where the batch is asked for
        ready.put(error)


def _drain(ready: queue.Queue) -> None:
    while True:
        try:
            ready.get_nowait()
        except queue.Empty:
            return
