"""Depthwise convolution as a ``torch.library`` operator with kernels of its own for CUDA.

``layer`` is what networks are built with and decides where the kernels are used; ``operator`` has
the operator; ``plans`` cuts its work into threads; ``compiled`` has the kernels, in ``kernels/``,
compiled for the GPU at hand by the NVRTC that comes with torch.
"""

from models.depthwise.layer import DepthwiseConv2d, depthwise_used
from models.depthwise.operator import depthwise_conv2d

__all__ = ["DepthwiseConv2d", "depthwise_conv2d", "depthwise_used"]
