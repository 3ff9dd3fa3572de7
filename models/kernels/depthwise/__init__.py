"""Depthwise convolution as a ``torch.library`` operator with its own CUDA kernels.

``layer`` is the module in networks; it decides where the kernels are used. ``operator`` and
``autograd`` define the operator and its gradients. ``plans`` divides the work among threads.
``compiled`` and ``driver`` compile the kernels in ``kernels/`` and launch them.
"""

from models.kernels.depthwise import autograd as _autograd  # noqa: F401 - registers the gradients
from models.kernels.depthwise.layer import DepthwiseConv2d, depthwise_used
from models.kernels.depthwise.operator import depthwise_conv2d

__all__ = ["DepthwiseConv2d", "depthwise_conv2d", "depthwise_used"]
