"""Whether a file computes what the network does."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from models.config import ModelConfig
from models.network import ModernResNet

#: Images at once: one, which exporters treat apart, and more than they were shown.
BATCHES = (1, 3)
#: Largest difference of an output, over the largest output: float32 summed in another order, which
#: made up to 2e-6 (results/measured/exports.csv).
TOLERANCE = 1e-4


class ExportError(ValueError):
    """A network that cannot be exported; the sentence says why and what would help."""


def sample_images(config: ModelConfig, image_size: int, count: int = max(BATCHES)) -> Tensor:
    """(count, in_channels, image_size, image_size) of normal noise, the same each time."""
    generator = torch.Generator().manual_seed(0)
    return torch.randn(count, config.in_channels, image_size, image_size, generator=generator)


def difference(
    computed: Callable[[Tensor], Tensor], network: ModernResNet, image_size: int
) -> float:
    """The largest difference of ``computed``'s outputs from the network's, for ``BATCHES``.

    Relative to the largest output. ``network`` is on the CPU. Raises ``ExportError`` where it is
    over ``TOLERANCE`` or no number, and where the network's own outputs are not finite.
    """
    images = sample_images(network.config, image_size)
    with torch.inference_mode():
        wanted = network(images)
        if not wanted.isfinite().all():
            raise ExportError(
                "the network's outputs are not finite with these weights, so the file cannot be "
                "checked: use other weights"
            )
        errors = torch.stack([(computed(images[:n]) - wanted[:n]).abs().max() for n in BATCHES])
    found = errors.max().item() / (wanted.abs().max().item() or 1.0)
    if not found <= TOLERANCE:  # nor NaN
        raise ExportError(
            "the file would not compute the same as the network: outputs differ by up to "
            f"{found:.1e} of the largest; {TOLERANCE:.0e} is allowed"
        )
    return found


def fill(network: ModernResNet) -> ModernResNet:
    """Give ``network`` values, the same each time, with which every layer counts.

    As initialized, a layer scale of 1e-6 hides its branch, and norms and biases do nothing.
    """
    generator = torch.Generator().manual_seed(0)
    for name, tensor in network.state_dict().items():
        if not tensor.is_floating_point():
            tensor.zero_()
        elif tensor.ndim in (2, 4):
            tensor.normal_(std=tensor[0].numel() ** -0.5, generator=generator)
        elif name.endswith(("bias", "mean")):
            tensor.normal_(std=0.1, generator=generator)
        else:
            tensor.uniform_(0.5, 1.0, generator=generator)
    return network
