"""Layer normalization over channels.

Annotations are types here, not strings, since ``torch.jit.script`` reads them after ``torch.fx``.
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.kernels.casts import found


class LayerNorm2d(nn.LayerNorm):
    """Layer normalization over the channels of an (N, C, H, W) tensor.

    Under autocast, it keeps its input's precision like batch norm (the kernel's statistics are
    float32); otherwise autocast would make every later tensor float32.
    """

    def forward(self, x: Tensor) -> Tensor:
        shape = self.normalized_shape  # TorchScript converts this tuple to a list
        return _layer_norm(x, shape, self.weight, self.bias, self.eps)  # type: ignore[arg-type]

    @torch.jit.unused
    def by_rows(self, rows: Tensor) -> Tensor:
        """Normalize a tensor (N, H, W, C)."""
        return _of_rows(rows, self.normalized_shape, self.weight, self.bias, self.eps)


@torch.fx.wrap  # reads its input's dtype, which a symbolic trace lacks
def _layer_norm(x: Tensor, channels: list[int], weight: Tensor, bias: Tensor, eps: float) -> Tensor:
    rows = x.permute(0, 2, 3, 1)
    # TorchScript omits the rest only behind this exact condition.
    if torch.jit.is_scripting():
        rows = F.layer_norm(rows, channels, weight, bias, eps)
    else:
        rows = _of_rows(rows, channels, weight, bias, eps)
    return rows.permute(0, 3, 1, 2)


def normalized(rows: Tensor, layer: LayerNorm2d) -> Tensor:
    """Normalize rows (N, H, W, C) as ``layer`` does, without its factors and biases."""
    return _of_rows(rows, layer.normalized_shape, None, None, layer.eps)


def _of_rows(
    rows: Tensor, channels: Sequence[int], weight: Tensor | None, bias: Tensor | None, eps: float
) -> Tensor:
    if not torch.compiler.is_dynamo_compiling():
        return _in_its_precision(rows, channels, weight, bias, eps)
    # torch.compile 2.11 would swap H and W in the saved statistics of (N, H, W, C) and thus in
    # every gradient, which must then be copied back.
    flat = _in_its_precision(rows.flatten(0, 2), channels, weight, bias, eps)
    return flat.unflatten(0, rows.shape[:3])


def _in_its_precision(
    x: Tensor, channels: Sequence[int], weight: Tensor | None, bias: Tensor | None, eps: float
) -> Tensor:
    if weight is not None and x.dtype == weight.dtype:
        return F.layer_norm(x, channels, weight, bias, eps)
    weight, bias = (each if each is None else found(each).to(x.dtype) for each in (weight, bias))
    device = x.device.type
    if torch.compiler.is_compiling() or not torch.is_autocast_enabled(device):
        with torch.autocast(device, enabled=False):
            return F.layer_norm(x, channels, weight, bias, eps)
    torch.set_autocast_enabled(device, False)  # the context manager takes 10 µs
    try:
        return F.layer_norm(x, channels, weight, bias, eps)
    finally:
        torch.set_autocast_enabled(device, True)
