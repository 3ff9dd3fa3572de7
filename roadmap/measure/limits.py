"""What the explorer's machine is asked to hold in memory: more is counted, not allocated."""

from __future__ import annotations

from models.config import ModelConfig
from models.spec import Conv, network_spec, placed_layers
from roadmap.measure.complexity import count
from roadmap.measure.training_memory import BYTES, training_memory

LIMIT = 4e9  # bytes
#: Tensors of the largest size that a forward pass holds at a time: input, output, shortcut.
LIVE_TENSORS = 3


def refusal(config: ModelConfig, image_size: int) -> str:
    """Why a network is not built here; empty where it is.

    Its weights with gradients and AdamW's moments have to fit, and what one image saves. Raises
    ``ValueError`` for an image too small for the network.
    """
    memory = training_memory(config, image_size).batch(1)
    if memory <= LIMIT:
        return ""
    return (
        f"Training it would take {memory / 1e9:,.1f} GB for one image, more than the "
        f"{LIMIT / 1e9:.0f} GB set for this explorer. It is counted here, not built."
    )


def run_refusal(config: ModelConfig, mode: str, batch_size: int, image_size: int) -> str:
    """Why a network that is built is not run with ``batch_size`` images; empty where it is."""
    memory = running_memory(config, mode, batch_size, image_size)
    if memory <= LIMIT:
        return ""
    return (
        f"A batch of {batch_size} takes about {memory / 1e9:,.1f} GB in {mode}, more than the "
        f"{LIMIT / 1e9:.0f} GB set for this explorer: choose a smaller batch."
    )


def running_memory(config: ModelConfig, mode: str, batch_size: int, image_size: int) -> int:
    """About how many bytes ``mode`` (inference or training) takes at a time, in float32."""
    if mode == "training":
        return training_memory(config, image_size).batch(batch_size)
    largest = config.in_channels * image_size**2
    for placed in placed_layers(network_spec(config), image_size):
        if isinstance(placed.layer, Conv):
            largest = max(largest, placed.layer.out_channels * placed.out_size**2)
    parameters = count(config, image_size).parameters
    return BYTES * (parameters + batch_size * LIVE_TENSORS * largest)
