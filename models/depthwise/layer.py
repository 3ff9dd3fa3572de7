"""The depthwise convolution of the networks: PyTorch's layer, on CUDA with kernels of our own."""

from __future__ import annotations

import os

import torch
from torch import Tensor, nn

from models.depthwise import compiled
from models.depthwise.operator import depthwise_conv2d

#: The environment variable that chooses when a network is built, and what it may say.
SWITCH, CHOICES = "ROADMAP_DEPTHWISE", ("own", "torch")
#: At stride 2 PyTorch's convolution is the faster one below this kernel size
#: (results/measured/kernels-h200.csv), at stride 1 at none.
STRIDED_FROM = 9


class DepthwiseConv2d(nn.Conv2d):
    """``nn.Conv2d`` with a filter a channel; same parameters, same outputs but for rounding.

    On CUDA, in channels_last, it runs the kernels of ``models.depthwise`` for the shapes at which
    they are faster, and PyTorch's convolution everywhere else; everywhere too with
    ``ROADMAP_DEPTHWISE=torch`` in the environment when it is built. Raises ``ValueError`` for a
    value of that variable that is neither ``own`` nor ``torch``.
    """

    def __init__(self, *arguments, **options):
        super().__init__(*arguments, **options)
        faster = self.stride == (1, 1) or self.kernel_size[0] >= STRIDED_FROM
        self.own = wanted() and faster

    def forward(self, x: Tensor) -> Tensor:
        if not (self.own and x.is_cuda and x.is_contiguous(memory_format=torch.channels_last)):
            return super().forward(x)
        if torch.is_autocast_enabled("cuda"):
            x = x.to(torch.get_autocast_dtype("cuda"))
        return depthwise_conv2d(x, self.weight, self.bias, self.stride[0], self.padding[0])


def wanted() -> bool:
    """Whether the environment lets networks use our kernels."""
    choice = os.environ.get(SWITCH) or CHOICES[0]
    if choice not in CHOICES:
        raise ValueError(f"{SWITCH} is {choice!r}: use {' or '.join(CHOICES)}")
    return choice == "own"


def depthwise_used(network: nn.Module, device: torch.device) -> tuple[str, str]:
    """Which of ``CHOICES`` a network's depthwise convolutions use on a device, and a sentence."""
    layers = [module for module in network.modules() if isinstance(module, DepthwiseConv2d)]
    own = sum(layer.own for layer in layers)
    if not layers:
        return "torch", "The network has no depthwise convolution of ours."
    reason = None if device.type == "cuda" else f"there are no others for {device.type}"
    if not wanted():
        reason = f"{SWITCH} is torch"
    elif not own:
        reason = "they are the faster ones at its shapes"
    elif device.type == "cuda":
        reason = compiled.missing(device)
    if reason:
        return "torch", f"Depthwise convolutions run on PyTorch's kernels: {reason}."
    return "own", f"{own} of {len(layers)} depthwise convolutions run on our CUDA kernels."
