"""Several processes as one run: who they are, what they agree on, batch norm across them."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor, nn

from roadmap.train.errors import TrainingError
from roadmap.train.stopping import stop_with_parent

T = TypeVar("T")

#: Reading and hashing a large set may take one process much longer than another.
TIMEOUT = timedelta(minutes=60)


@dataclass(frozen=True)
class World:
    """The processes of a run. ``group`` is for numbers on the CPU; None with one process."""

    rank: int = 0
    size: int = 1
    local_rank: int = 0
    group: Any = None

    @property
    def is_main(self) -> bool:
        return self.rank == 0

    def sum(self, values: Sequence[float]) -> list[float]:
        """Each value added up over the processes."""
        return self._reduce(values, torch.float64, dist.ReduceOp.SUM) if self.group else [*values]

    def max(self, values: Sequence[int]) -> list[int]:
        """The largest of each value over the processes."""
        return self._reduce(values, torch.int64, dist.ReduceOp.MAX) if self.group else [*values]

    def _reduce(self, values: Sequence[Any], dtype: torch.dtype, operation: Any) -> list[Any]:
        tensor = torch.tensor(list(values), dtype=dtype)
        dist.all_reduce(tensor, operation, group=self.group)
        return tensor.tolist()

    def share(self, work: Callable[[], T]) -> T:
        """What ``work`` returns on the main process, given to all; its ``TrainingError`` too."""
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
        """``value`` of each process, in their order."""
        if self.group is None:
            return [value]
        values: list[Any] = [None] * self.size
        dist.all_gather_object(values, value, group=self.group)
        return values

    def share_tensors(self, tensors: dict[str, Tensor] | None) -> dict[str, Tensor]:
        """The main process's CPU tensors, given to all (None on the others)."""
        if self.group is None:
            return tensors or {}
        forms = self.share(
            lambda: [(name, t.shape, t.dtype) for name, t in (tensors or {}).items()]
        )
        shared = tensors if self.is_main else {n: torch.empty(s, dtype=d) for n, s, d in forms}
        for name, _, _ in forms:
            dist.broadcast(shared[name], src=0, group=self.group)
        return shared


def join(device_type: str) -> World:
    """The processes that ``torchrun`` started, or this one alone."""
    size = int(os.environ.get("WORLD_SIZE", "1"))
    if size == 1:
        return World()
    if dist.is_torchelastic_launched():  # torchrun, killed, would leave its processes at work
        stop_with_parent()
    if not dist.is_initialized():
        dist.init_process_group("nccl" if device_type == "cuda" else "gloo", timeout=TIMEOUT)
    group = dist.new_group(backend="gloo", timeout=TIMEOUT)
    return World(dist.get_rank(), size, int(os.environ.get("LOCAL_RANK", "0")), group)


def leave(world: World) -> None:
    if world.group is not None:
        dist.destroy_process_group()


def synchronize_batch_norm(model: nn.Module, device_type: str) -> nn.Module:
    """``model`` with batch statistics over all processes: torch's own on CUDA, ours elsewhere."""
    if device_type == "cuda":
        return nn.SyncBatchNorm.convert_sync_batchnorm(model)
    for module in model.modules():
        if type(module) is nn.BatchNorm2d:
            module.__class__ = GlobalBatchNorm2d
    return model


class GlobalBatchNorm2d(nn.BatchNorm2d):
    """Batch norm over the batches of all processes, for devices ``nn.SyncBatchNorm`` lacks."""

    def forward(self, x: Tensor) -> Tensor:
        if not self.training:
            return super().forward(x)
        x64 = x.double()  # torch's own sums in double precision on a CPU, too
        count = x64.new_full((1,), x.numel() / x.shape[1])
        sums = _GlobalSum.apply(torch.cat([x64.sum((0, 2, 3)), count]))
        count = sums[-1]
        mean = sums[:-1] / count
        centered = x64 - mean.view(1, -1, 1, 1)
        variance = _GlobalSum.apply(centered.square().sum((0, 2, 3))) / count
        with torch.no_grad():
            unbiased = variance * count / (count - 1)
            self.num_batches_tracked += 1
            self.running_mean.lerp_(mean.to(self.running_mean.dtype), self.momentum)
            self.running_var.lerp_(unbiased.to(self.running_var.dtype), self.momentum)
        scale = self.weight * torch.rsqrt(variance + self.eps)
        y = centered * scale.view(1, -1, 1, 1) + self.bias.view(1, -1, 1, 1)
        return y.to(x.dtype)


class _GlobalSum(torch.autograd.Function):
    """Sum over the processes; its gradient is the sum of their gradients."""

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
