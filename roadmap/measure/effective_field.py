"""The effective receptive field: how strongly each pixel influences one output position.

It is the absolute gradient of the position with respect to the input, averaged over random images
(Luo et al. 2016, "Understanding the Effective Receptive Field in Deep Convolutional Neural
Networks"). Its size is the side of the smallest centered square that holds a given share of the
total, as in Ding et al. 2022 ("Scaling Up Your Kernels to 31x31").
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from models.config import ModelConfig
from models.network import LayerScale, ModernResNet
from roadmap.measure.complexity import count
from roadmap.measure.receptive_field import center

#: Side of the images in pixels: an odd number of strides, so that one position is in the middle.
IMAGE_SIZE = 352
SHARES = (0.2, 0.5, 0.8)
#: Multiply-adds of the forward passes per network, and bounds on the number of images. All steps
#: of a roadmap get the same number.
BUDGET, FEWEST_IMAGES, MOST_IMAGES = 53e9, 2, 4
#: Called with the number of finished images and their total.
OnProgress = Callable[[int, int], None]


@dataclass(frozen=True)
class EffectiveField:
    """``contributions`` (image_size, image_size) add up to 1.

    ``center`` is the center of the position's theoretical field in pixels from 0, possibly
    between two pixels; ``images`` is the number of images averaged.
    """

    contributions: Tensor
    center: float
    images: int

    @property
    def image_size(self) -> int:
        return self.contributions.shape[-1]

    def side(self, share: float) -> int:
        """Return the side in pixels of the smallest centered square that holds ``share``.

        The square may extend beyond the image.
        """
        offsets = (torch.arange(self.image_size) - self.center).abs()
        distance = torch.maximum(offsets[:, None], offsets[None, :]).flatten()
        order = distance.argsort(stable=True)
        held = self.contributions.flatten()[order].cumsum(0)
        last = min(int(torch.searchsorted(held, share * held[-1])), len(order) - 1)
        return round(2 * distance[order[last]].item() + 1)

    def cells(self, size: int) -> Tensor:
        """Average ``contributions`` over ``size`` x ``size`` pixels, relative to the largest."""
        pooled = nn.functional.avg_pool2d(self.contributions[None, None], size)[0, 0]
        return pooled / pooled.max()


def image_count(config: ModelConfig) -> int:
    """Return the number of images to average over for ``config``."""
    allowed = int(BUDGET // count(config, IMAGE_SIZE).macs)
    return max(FEWEST_IMAGES, min(MOST_IMAGES, allowed))


def untrained(config: ModelConfig, image_size: int = IMAGE_SIZE) -> ModernResNet:
    """Build ``config`` in evaluation mode, with random weights that give every branch influence.

    To compare architectures, all steps use the same initialization: He et al. 2015 for
    convolutions, layer scale 1 (1e-6 would hide the branches), and batch norms with statistics of
    random images.
    """
    scale = None if config.layer_scale is None else 1.0
    with torch.device("meta"):
        network = ModernResNet(
            config.replace(num_classes=0, layer_scale=scale, stochastic_depth=0.0)
        )
    network.to(memory_format=torch.channels_last).to_empty(device="cpu")
    generator = torch.Generator().manual_seed(0)
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, generator=generator)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
        elif isinstance(module, LayerScale):
            nn.init.ones_(module.gamma)
        elif list(module.parameters(recurse=False)):
            module.reset_parameters()  # type: ignore[operator] # torch: an attribute is a tensor
    if any(isinstance(module, nn.BatchNorm2d) for module in network.modules()):
        _calibrate(network, image_size, generator)
    return network.eval()


def _calibrate(network: ModernResNet, image_size: int, generator: torch.Generator) -> None:
    """Set the running statistics of batch norms from a random image of half the size."""
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = 1.0
    size = max(image_size // 2, 128)  # norms need more than one position
    image = torch.randn(1, network.config.in_channels, size, size, generator=generator)
    with torch.no_grad():
        network.train().forward_features(image)


def effective_field(
    network: ModernResNet,
    image_size: int = IMAGE_SIZE,
    images: int = 1,
    on_progress: OnProgress | None = None,
) -> EffectiveField:
    """Return the field of the middle position of ``network``'s last stage, before pooling.

    For each of ``images`` images of standard normal noise, differentiates the sum of the
    position's channels with respect to the input; absolute values are summed over input channels
    and averaged. ``network`` may be trained or ``untrained``; it is run in evaluation mode.
    """
    layout = torch.channels_last  # faster, especially for depthwise convolutions
    network = network.eval().requires_grad_(False).to(memory_format=layout)
    generator = torch.Generator().manual_seed(0)
    total = torch.zeros(image_size, image_size, dtype=torch.float64)
    for done in range(images):
        shape = (1, network.config.in_channels, image_size, image_size)
        image = torch.randn(shape, generator=generator).to(memory_format=layout).requires_grad_()
        features = network.forward_features(image)
        middle = features.shape[-1] // 2
        (gradient,) = torch.autograd.grad(features[0, :, middle, middle].sum(), image)
        total += gradient.abs().sum((0, 1))
        if on_progress:
            on_progress(done + 1, images)
    return EffectiveField((total / total.sum()).float(), center(network.config, image_size), images)
