"""Depthwise convolution as a ``torch.library`` operator with kernels of its own for CUDA.

``layer`` is what networks are built with; ``operator`` has the operator; ``compiled`` has the
kernels, ``kernels.cu``, compiled for the GPU at hand by the NVRTC that comes with torch.
"""

from models.depthwise.operator import depthwise_conv2d

__all__ = ["depthwise_conv2d"]
