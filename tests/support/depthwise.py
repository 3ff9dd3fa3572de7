"""How exact the depthwise kernels have to be."""

from __future__ import annotations

import torch
from torch import Tensor

TOLERANCE = {torch.float32: 1e-5, torch.bfloat16: 1e-2, torch.float16: 2e-3}


def error(found: Tensor, exact: Tensor) -> float:
    """Relative to the largest; sums of unit normals below 1 are what cancellation left."""
    assert found.shape == exact.shape
    return ((found.double() - exact).abs().max() / exact.abs().max().clamp(min=1)).item()
