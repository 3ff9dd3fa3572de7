"""The depthwise convolution of the networks: PyTorch's layer, on CUDA with a choice of kernels."""

from __future__ import annotations

import os

import torch
from torch import Tensor, nn

from models.depthwise.operator import depthwise_conv2d

#: The environment variable that chooses, and what it may say.
SWITCH, CHOICES = "ROADMAP_DEPTHWISE", ("torch", "own")


class DepthwiseConv2d(nn.Conv2d):
    """``nn.Conv2d`` with a filter a channel; same parameters, same outputs but for rounding.

    With ``ROADMAP_DEPTHWISE=own`` in the environment when it is built, it runs the kernels of
    ``models.depthwise`` where there is CUDA; otherwise PyTorch's convolution.

    Raises ``ValueError`` for another value of that variable.
    """

    def __init__(self, *arguments, **options):
        super().__init__(*arguments, **options)
        choice = os.environ.get(SWITCH) or CHOICES[0]
        if choice not in CHOICES:
            raise ValueError(f"{SWITCH} is {choice!r}: use {' or '.join(CHOICES)}")
        self.own = choice == "own"

    def forward(self, x: Tensor) -> Tensor:
        if not (self.own and x.is_cuda):
            return super().forward(x)
        if torch.is_autocast_enabled("cuda"):
            x = x.to(torch.get_autocast_dtype("cuda"))
        return depthwise_conv2d(x, self.weight, self.bias, self.stride[0], self.padding[0])
