"""The depthwise convolution layer: PyTorch's, with our own kernels on CUDA."""

from __future__ import annotations

import os
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.kernels.casts import found
from models.kernels.depthwise import compiled
from models.kernels.depthwise.autograd import depthwise_conv2d, worthwhile
from models.kernels.depthwise.operator import MOST_SIZE
from models.kernels.tracing import exporting
from models.text import said

#: Environment variable, read when a network is built, and its values.
SWITCH, CHOICES = "ROADMAP_DEPTHWISE", ("own", "torch")
#: Kernel size from which our kernels are faster at stride 2; at stride 1 they always are
#: (results/measured/kernels-h200.csv).
STRIDED_FROM = 7


class DepthwiseConv2d(nn.Conv2d):
    """``nn.Conv2d`` with one filter per channel; same parameters, same outputs up to rounding.

    Takes (N, C, H, W). On CUDA and in channels_last, it uses this package's kernels for shapes
    where they are faster; otherwise, or if ``ROADMAP_DEPTHWISE`` is ``torch`` when the layer is
    built, PyTorch's. Raises ``ValueError`` if that variable is neither ``own`` nor ``torch``.
    """

    def __init__(self, *arguments: Any, **options: Any):
        super().__init__(*arguments, **options)
        choice = os.environ.get(SWITCH) or CHOICES[0]
        if choice not in CHOICES:
            raise ValueError(f"{SWITCH} is {said(choice)}: use {' or '.join(CHOICES)}")
        self.wanted = choice == "own"
        #: Whether to use our kernels on devices that support them.
        self.own = self.wanted and self._fits()

    def _fits(self) -> bool:
        size, stride = self.kernel_size[0], self.stride[0]
        plain = self.padding_mode == "zeros" and self.dilation == (1, 1)
        depthwise = self.groups == self.in_channels == self.out_channels
        square = all(
            isinstance(pair, tuple) and pair[0] == pair[1]
            for pair in (self.kernel_size, self.stride, self.padding)
        )
        fits = plain and depthwise and square and size % 2 and size <= MOST_SIZE
        faster = stride == 1 or (stride == 2 and size >= STRIDED_FROM)
        return bool(fits and faster)

    def forward(self, x: Tensor) -> Tensor:
        # TorchScript omits code only behind this exact condition, and must run without our code.
        if not torch.jit.is_scripting():  # noqa: SIM102
            if self.own:
                return _convolved(x, self.weight, self.bias, self.stride[0], int(self.padding[0]))
        return self._conv_forward(x, self.weight, self.bias)


@torch.fx.wrap
def _convolved(x: Tensor, weight: Tensor, bias: Tensor | None, stride: int, padding: int) -> Tensor:
    """Use the operator where it is faster, but not in exports, which must run without our code."""
    if not torch.jit.is_scripting():
        nhwc = x.is_cuda and x.is_contiguous(memory_format=torch.channels_last)
        own = nhwc and x.dtype != torch.float64 and not exporting()
        # The compiler decides later, when it knows whether it records CUDA graphs.
        if own and (torch.compiler.is_dynamo_compiling() or worthwhile(x, weight, bias)):
            if torch.is_autocast_enabled("cuda"):
                x = x.to(torch.get_autocast_dtype("cuda"))
            return depthwise_conv2d(x, weight, bias, stride, padding)
        weight, bias = found(weight), None if bias is None else found(bias)
    return F.conv2d(x, weight, bias, stride, padding, groups=x.shape[1])


def depthwise_used(
    network: nn.Module, device: torch.device, *, channels_last: bool = True
) -> tuple[str, str]:
    """Return which of ``CHOICES`` the depthwise convolutions use on ``device``, and a sentence."""
    layers = [module for module in network.modules() if isinstance(module, DepthwiseConv2d)]
    own = sum(layer.own for layer in layers)
    reason = None
    if not layers:
        return "torch", "The network has no depthwise convolution layers of this project."
    if not any(layer.wanted for layer in layers):
        reason = f"{SWITCH} is torch"
    elif device.type != "cuda":
        reason = f"our kernels need CUDA, and the device is {device.type}"
    elif not own:
        reason = "they are faster for the shapes of this network"
    elif not channels_last:
        reason = "our kernels need channels_last"
    else:
        index = torch.cuda.current_device() if device.index is None else device.index
        reason = compiled.missing(torch.device("cuda", index))
    if reason:
        return "torch", f"Depthwise convolutions run on PyTorch's kernels: {reason}."
    count = f"{own} of {len(layers)} depthwise convolutions"
    return "own", f"{count} run on our CUDA kernels where inputs are large."
