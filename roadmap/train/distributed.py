"""A run over several processes: ranks, communication, synchronized batch norm."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor, nn

from roadmap.errors import TrainingError
from roadmap.train.stopping import stop_with_parent

T = TypeVar("T")

#: Long, since reading and hashing a large data set can take one process much longer.
TIMEOUT = timedelta(minutes=60)


@dataclass(frozen=True)
class World:
    """The processes of a run. ``group`` communicates CPU values; None with one process."""

    rank: int = 0
    size: int = 1
    group: Any = None

    @property
    def is_main(self) -> bool:
        return self.rank == 0

    def sum(self, values: Sequence[float]) -> list[float]:
        """Return each value summed over the processes."""
        return self._reduce(values, torch.float64, dist.ReduceOp.SUM) if self.group else [*values]

    def max(self, values: Sequence[int]) -> list[int]:
        """Return each value's maximum over the processes."""
        return self._reduce(values, torch.int64, dist.ReduceOp.MAX) if self.group else [*values]

    def _reduce(self, values: Sequence[Any], dtype: torch.dtype, operation: Any) -> list[Any]:
        tensor = torch.tensor(list(values), dtype=dtype)
        dist.all_reduce(tensor, operation, group=self.group)
        return tensor.tolist()

    def share(self, work: Callable[[], T]) -> T:
        """Run ``work`` on the main process; return its result, or raise its error, on all."""
        if self.group is None:
            return work()
        answer: list[Any] = [None, None]
        if self.is_main:
            try:
                answer[0] = work()
            except TrainingError as error:
                answer[1] = error
        dist.broadcast_object_list(answer, src=0, group=self.group)
        if answer[1] is not None:
            raise answer[1]
        return answer[0]

    def gather(self, value: T) -> list[T]:
        """Return ``value`` of every process, by rank."""
        if self.group is None:
            return [value]
        values: list[Any] = [None] * self.size
        dist.all_gather_object(values, value, group=self.group)
        return values

    def share_tensors(self, tensors: dict[str, Tensor] | None) -> dict[str, Tensor]:
        """Send the main process's CPU tensors to all (``tensors`` is None on the others)."""
        own = tensors or {}
        if self.group is None:
            return own
        forms = self.share(lambda: [(name, t.shape, t.dtype) for name, t in own.items()])
        shared = own if self.is_main else {n: torch.empty(s, dtype=d) for n, s, d in forms}
        for name, _, _ in forms:
            dist.broadcast(shared[name], src=0, group=self.group)
        return shared


@contextmanager
def joined(device_type: str) -> Iterator[World]:
    """Yield the processes that ``torchrun`` started, or only this one."""
    size = int(os.environ.get("WORLD_SIZE", "1"))
    if size == 1:
        yield World()
        return
    if dist.is_torchelastic_launched():  # a killed torchrun would leave its processes running
        stop_with_parent()
    if not dist.is_initialized():
        dist.init_process_group("nccl" if device_type == "cuda" else "gloo", timeout=TIMEOUT)
    group = dist.new_group(backend="gloo", timeout=TIMEOUT)
    try:
        yield World(dist.get_rank(), size, group)
    finally:
        dist.destroy_process_group()


def synchronize_batch_norm(model: nn.Module, device_type: str) -> nn.Module:
    """Synchronize ``model``'s batch norms: with torch's own on CUDA, with ours elsewhere."""
    if device_type == "cuda":
        return nn.SyncBatchNorm.convert_sync_batchnorm(model)
    for module in model.modules():
        if type(module) is nn.BatchNorm2d:
            module.__class__ = GlobalBatchNorm2d
    return model


class GlobalBatchNorm2d(nn.BatchNorm2d):
    """Batch norm over all processes' batches, for devices without ``nn.SyncBatchNorm``."""

    def forward(self, x: Tensor) -> Tensor:
        if not self.training:
            return super().forward(x)
        x64 = x.double()  # torch also sums in double precision on a CPU
        count = x64.new_full((1,), x.numel() / x.shape[1])
        sums = _GlobalSum.apply(torch.cat([x64.sum((0, 2, 3)), count]))
        count = sums[-1]
        mean = sums[:-1] / count
        centered = x64 - mean.view(1, -1, 1, 1)
        variance = _GlobalSum.apply(centered.square().sum((0, 2, 3))) / count
        # Ours keep running statistics, by a momentum.
        assert self.running_mean is not None and self.running_var is not None
        assert self.num_batches_tracked is not None and self.momentum is not None
        with torch.no_grad():
            unbiased = variance * count / (count - 1)
            self.num_batches_tracked += 1
            self.running_mean.lerp_(mean.to(self.running_mean.dtype), self.momentum)
            self.running_var.lerp_(unbiased.to(self.running_var.dtype), self.momentum)
        scale = self.weight * torch.rsqrt(variance + self.eps)
        y = centered * scale.view(1, -1, 1, 1) + self.bias.view(1, -1, 1, 1)
        return y.to(x.dtype)


class _GlobalSum(torch.autograd.Function):
    """Sum over the processes; the gradient is the sum of their gradients."""

    @staticmethod
    def forward(_context: Any, x: Tensor) -> Tensor:
        total = x.clone()
        dist.all_reduce(total)
        return total

    @staticmethod
    def backward(_context: Any, gradient: Tensor) -> Tensor:
        total = gradient.clone()
        dist.all_reduce(total)
        return total
