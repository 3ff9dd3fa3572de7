"""A training step recorded once as a CUDA graph, so that Python no longer launches its kernels."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

#: Runs before the recording, in which compilers compile and optimizers make their state.
WARM_UP = 3


class StepGraph:
    """Runs ``compute(images, targets)``, after ``WARM_UP`` times from a recording of it.

    So ``compute`` must do the same work each time on tensors that stay where they are, apart from
    its two arguments, and read nothing back. The shapes of the arguments must not change.
    """

    def __init__(self, compute: Callable[[Tensor, Tensor], None]):
        self._compute = compute
        self._graph = torch.cuda.CUDAGraph()
        self._stream = torch.cuda.Stream()
        self._inputs: tuple[Tensor, Tensor] | None = None
        self._taken = torch.cuda.Event(blocking=True)
        self._done = 0

    def run(self, images: Tensor, targets: Tensor) -> None:
        if self._done < WARM_UP:
            self._warm_up(images, targets)
            return
        if self._inputs is None:
            self._record(images, targets)
        self._taken.synchronize()  # so that no more than one batch waits in memory
        for own, given in zip(self._inputs, (images, targets), strict=True):
            own.copy_(given)
        self._taken.record()
        self._graph.replay()

    def _warm_up(self, images: Tensor, targets: Tensor) -> None:
        """On the stream of the recording: autograd remembers where it was."""
        current = torch.cuda.current_stream()
        self._stream.wait_stream(current)
        with torch.cuda.stream(self._stream):
            self._compute(images, targets)
        current.wait_stream(self._stream)
        for tensor in (images, targets):
            tensor.record_stream(self._stream)
        self._done += 1

    def _record(self, images: Tensor, targets: Tensor) -> None:
        self._inputs = torch.empty_like(images), torch.empty_like(targets)
        # Thread-local: the thread that prepares batches goes on.
        with torch.cuda.graph(self._graph, stream=self._stream, capture_error_mode="thread_local"):
            self._compute(*self._inputs)
