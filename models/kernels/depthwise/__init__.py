"""Depthwise convolution as a ``torch.library`` operator with its own CUDA kernels.

``layer`` is the module in networks; it decides where the kernels are used. ``autograd`` is the
function that it calls, with gradients; ``operator`` has the operators. ``plans`` divides the work
among threads. ``compiled`` and ``driver`` compile the kernels in ``kernels/`` and launch them.
"""

from models.kernels.depthwise.autograd import depthwise_conv2d
from models.kernels.depthwise.layer import DepthwiseConv2d, depthwise_used

__all__ = ["DepthwiseConv2d", "depthwise_conv2d", "depthwise_used"]
