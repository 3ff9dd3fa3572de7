"""GELU in the layout that PyTorch computes fastest."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.kernels.tracing import exporting


class GELU(nn.GELU):
    """``nn.GELU``; same outputs up to rounding.

    On CPUs, PyTorch calls oneDNN for contiguous tensors only, and takes twice as long for others.
    Channels_last tensors (N, C, H, W) are contiguous as (N, H, W, C).
    """

    def forward(self, x: Tensor) -> Tensor:
        return _gelu(x, self.approximate)


@torch.fx.wrap
def _gelu(x: Tensor, approximate: str) -> Tensor:
    # TorchScript omits code only behind this exact condition.
    if not torch.jit.is_scripting():  # noqa: SIM102
        if x.is_cpu and x.ndim == 4 and not exporting():
            rows = x.permute(0, 2, 3, 1)
            if rows.is_contiguous():
                return F.gelu(rows, approximate=approximate).permute(0, 3, 1, 2)
    return F.gelu(x, approximate=approximate)
