"""Comparison of an exported file's outputs with the network's."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from models.config import ModelConfig
from models.network import ModernResNet

#: Batch sizes of the check: 1, which exporters may specialize, and more than they traced.
BATCHES = (1, 3)
#: Largest allowed difference relative to the largest output. Float32 sums in another order gave up
#: to 2e-6 (results/measured/exports.csv).
TOLERANCE = 1e-4


class ExportError(ValueError):
    """A network that cannot be exported; the message says why and what would help."""


def sample_images(config: ModelConfig, image_size: int, count: int = max(BATCHES)) -> Tensor:
    """Return (count, in_channels, image_size, image_size) of normal noise with a fixed seed."""
    generator = torch.Generator().manual_seed(0)
    return torch.randn(count, config.in_channels, image_size, image_size, generator=generator)


def difference(
    computed: Callable[[Tensor], Tensor], network: ModernResNet, image_size: int
) -> float:
    """Return the largest difference between outputs of ``computed`` and ``network`` (on the CPU).

    It is over ``BATCHES`` and relative to the largest output. Raises ``ExportError`` if it is NaN
    or larger than ``TOLERANCE``, or the network's outputs are not finite.
    """
    return compared(computed, network, sample_images(network.config, image_size))


def compared(
    computed: Callable[[Tensor], Tensor], network: Callable[[Tensor], Tensor], images: Tensor
) -> float:
    """Return ``difference`` for any network, with ``images`` for the largest of ``BATCHES``."""
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
            "the outputs of the exported network differ from the network's by up to "
            f"{found:.1e} of the largest output; at most {TOLERANCE:.0e} is allowed"
        )
    return found


def fill(network: ModernResNet) -> ModernResNet:
    """Fill ``network`` with values from a fixed seed that give every layer an effect.

    Initial values would hide layers: layer scales are 1e-6, and norms and biases do nothing.
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
