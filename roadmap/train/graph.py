"""A training step recorded as a CUDA graph, so that Python does not launch each kernel."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

Compute = Callable[[Tensor, Tensor], None]
#: Runs before the recording, in which compilers compile and optimizers create their state.
WARM_UP = 3


class StepGraph:
    """Runs ``compute(images, targets)``; after ``WARM_UP`` runs, replays a recording of it.

    ``compute`` must therefore do the same work each time, on tensors at fixed addresses except its
    two arguments, and must not read results back. The shapes of the arguments must not change.

    ``compute`` is not stored, so that the graph is freed together with its owner. The garbage
    collector could free it in a forked process such as a data loader's, which would crash on any
    use of CUDA.
    """

    def __init__(self) -> None:
        self._graph = torch.cuda.CUDAGraph()
        self._stream = torch.cuda.Stream()
        self._inputs: tuple[Tensor, Tensor] | None = None
        self._taken = torch.cuda.Event(blocking=True)
        self._done = 0

    def run(self, compute: Compute, images: Tensor, targets: Tensor) -> None:
        if self._done < WARM_UP:
            self._warm_up(compute, images, targets)
            return
        if self._inputs is None:
            self._inputs = self._record(compute, images, targets)
        self._taken.synchronize()  # so that at most one batch waits in memory
        for own, given in zip(self._inputs, (images, targets), strict=True):
            own.copy_(given)
        self._taken.record()
        self._graph.replay()

    def _warm_up(self, compute: Compute, images: Tensor, targets: Tensor) -> None:
        """Run on the recording's stream, since autograd remembers the stream."""
        current = torch.cuda.current_stream()
        self._stream.wait_stream(current)
        with torch.cuda.stream(self._stream):
            compute(images, targets)
        current.wait_stream(self._stream)
        for tensor in (images, targets):
            tensor.record_stream(self._stream)
        self._done += 1

    def _record(self, compute: Compute, images: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        """The tensors that the recording reads."""
        inputs = torch.empty_like(images), torch.empty_like(targets)
        # Thread-local, so that the thread that prepares batches can continue.
        with torch.cuda.graph(self._graph, stream=self._stream, capture_error_mode="thread_local"):
            compute(*inputs)
        return inputs
