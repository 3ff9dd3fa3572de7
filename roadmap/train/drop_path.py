"""Stochastic depth whose draws depend only on seed, step and position in the global batch.

A run therefore resumes bit for bit, and neither the number of processes nor gradient accumulation
changes which branches are dropped. Drawing outside the network also keeps compiled networks free
of random state.
"""

from __future__ import annotations

import zlib

import torch
from torch import Tensor, nn
from torchvision.ops import StochasticDepth


class DrawnDropPath(nn.Module):
    """Multiplies image i of an (N, C, H, W) tensor by ``factor[i]`` in training."""

    def __init__(self, p: float):
        super().__init__()
        self.p = p
        self.factor: Tensor | None = None

    def forward(self, x: Tensor) -> Tensor:
        if not self.training or self.factor is None:
            return x
        return x * self.factor.to(x.dtype)

    def extra_repr(self) -> str:
        return f"p={self.p}"


class DropPaths:
    """Replaces all drop paths of a network, in order, by ones with external draws."""

    def __init__(self, model: nn.Module, seed: int, device: torch.device):
        self.seed = seed
        self.device = device
        self.layers = _replace(model)
        self._draws = torch.empty(0)
        self._table = torch.empty(0)

    def draw(self, step: int, batch_size: int) -> None:
        """Draw a factor per layer and image of the global batch: 0 or 1 / (1 - p)."""
        if self.layers:
            # A checksum combines the two, since torch's generator uses 32 bits of its seed.
            mixed = zlib.crc32(f"{self.seed} {step}".encode())
            generator = torch.Generator().manual_seed(mixed)
            keep = 1 - torch.tensor([[layer.p] for layer in self.layers])
            uniform = torch.rand(len(self.layers), batch_size, generator=generator)
            self._draws = torch.where(uniform < keep, 1 / keep, 0.0)

    def select(self, start: int, stop: int) -> None:
        """Use the draws of images ``start`` to ``stop`` of the global batch in the next pass."""
        if not self.layers:
            return
        part = self._draws[:, start:stop]
        if self.device.type == "cuda":
            part = part.contiguous().pin_memory()
        if part.shape != self._table.shape:
            # Views of one tensor, so that a compiled network sees the same tensors at every step.
            self._table = torch.empty(part.shape, device=self.device)
            for layer, row in zip(self.layers, self._table, strict=True):
                layer.factor = row.view(-1, 1, 1, 1)
        self._table.copy_(part, non_blocking=True)


def _replace(model: nn.Module) -> list[DrawnDropPath]:
    layers = []
    for parent in list(model.modules()):
        for name, child in list(parent.named_children()):
            if isinstance(child, StochasticDepth):
                layers.append(DrawnDropPath(child.p))
                setattr(parent, name, layers[-1])
    return layers
