"""A learned factor per channel (Touvron et al. 2021, "Going deeper with Image Transformers")."""

import torch
from torch import Tensor, nn

from models.kernels.casts import found


class LayerScale(nn.Module):
    """A learned factor per channel of an (N, C, H, W) tensor; keeps the tensor's precision."""

    def __init__(self, channels: int, init: float):
        super().__init__()
        self.gamma = nn.Parameter(torch.full((channels, 1, 1), init))

    def forward(self, x: Tensor) -> Tensor:
        return x * _in_precision(self.gamma, x)

    @torch.jit.unused
    def by_rows(self, rows: Tensor) -> Tensor:
        """Scale a tensor (N, H, W, C)."""
        return rows * _in_precision(self.gamma, rows).flatten()


@torch.fx.wrap  # a symbolic trace has no dtype
def _in_precision(gamma: Tensor, x: Tensor) -> Tensor:
    # TorchScript omits code only behind this exact condition.
    if not torch.jit.is_scripting():
        gamma = found(gamma)
    return gamma.to(x.dtype)
