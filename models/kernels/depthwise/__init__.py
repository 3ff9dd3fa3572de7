"""Depthwise convolution as a ``torch.library`` operator with kernels of its own for CUDA.

``layer`` is what networks are built with and decides where the kernels are used; ``operator`` and
``autograd`` are the operator; ``plans`` cuts its work into threads; ``compiled`` has the kernels,
in ``kernels/``, which ``driver`` compiles for the GPU at hand and launches.
"""

from models.kernels.depthwise import autograd as _autograd  # noqa: F401 - gives the operators gradients
from models.kernels.depthwise.layer import DepthwiseConv2d, depthwise_used
from models.kernels.depthwise.operator import depthwise_conv2d

__all__ = ["DepthwiseConv2d", "depthwise_conv2d", "depthwise_used"]
