"""Memory limits of the explorer: larger networks are counted but not built."""

from __future__ import annotations

from collections.abc import Sequence

from models.config import ModelConfig
from models.spec import Conv, network_spec, placed_layers
from roadmap.measure.complexity import count
from roadmap.measure.host_memory import free_memory
from roadmap.measure.training_memory import BYTES, COPIES, training_memory

LIMIT = 4e9  # bytes
#: Tensors of the largest size that a forward pass holds at once: input, output, shortcut.
LIVE_TENSORS = 3
#: Peak memory of an export by format: bytes for the smallest network, and copies of the weights of
#: a larger one. Measured on Linux with torch 2.14.
EXPORTING = {"safetensors": (0.62e9, 4.5), "onnx": (0.85e9, 6.0), "pt2": (0.77e9, 4.0)}
#: Bytes of a process that runs networks; number of images that check an export.
LOADED, CHECKED_IMAGES = 0.6e9, 3
#: Side in pixels of the images for effective receptive fields.
FIELD_SIZE = 352


def refusal(config: ModelConfig, image_size: int) -> str:
    """Return why ``config`` is not built, or an empty string if it is.

    Weights, gradients, AdamW's moments and the activations of one image must fit. Raises
    ``ValueError`` if the image is too small for the network.
    """
    memory = training_memory(config, image_size).batch(1)
    if memory <= LIMIT:
        return ""
    return (
        f"Training this network would take {memory / 1e9:,.1f} GB per image, more than this "
        f"explorer's limit of {LIMIT / 1e9:.0f} GB. Its costs are counted without building it."
    )


def run_refusal(config: ModelConfig, mode: str, batch_size: int, image_size: int) -> str:
    """Return why ``config`` is not run with ``batch_size`` images, or an empty string."""
    memory = running_memory(config, mode, batch_size, image_size)
    if memory <= LIMIT:
        return ""
    return (
        f"A batch of {batch_size} takes about {memory / 1e9:,.1f} GB in {mode}, more than this "
        f"explorer's limit of {LIMIT / 1e9:.0f} GB: choose a smaller batch."
    )


def running_memory(config: ModelConfig, mode: str, batch_size: int, image_size: int) -> int:
    """Return the approximate bytes that ``mode`` (inference or training) needs in float32."""
    if mode == "training":
        return training_memory(config, image_size).batch(batch_size)
    largest = config.in_channels * image_size**2
    for placed in placed_layers(network_spec(config), image_size):
        if isinstance(placed.layer, Conv):
            largest = max(largest, placed.layer.out_channels * placed.out_size**2)
    parameters = count(config, image_size).parameters
    return BYTES * (parameters + batch_size * LIVE_TENSORS * largest)


# Limits by free memory


def measuring_refusal(config: ModelConfig, mode: str, batch_size: int, image_size: int) -> str:
    """Return why ``config`` is not timed now, or an empty string."""
    needed = LOADED + running_memory(config, mode, batch_size, image_size)
    return run_refusal(config, mode, batch_size, image_size) or _shortage("Measuring", needed)


def comparing_refusal(configs: Sequence[ModelConfig], batch_size: int, image_size: int) -> str:
    """Return why training steps of ``configs`` are not timed in turn now, or an empty string."""
    memory = sum(running_memory(c, "training", batch_size, image_size) for c in configs)
    if memory > LIMIT:
        return (
            f"Training steps of both networks with batches of {batch_size} take about "
            f"{memory / 1e9:,.1f} GB, more than this explorer's limit of {LIMIT / 1e9:.0f} GB: use "
            "smaller networks or a smaller image."
        )
    return _shortage("Measuring", LOADED + memory)


def export_refusal(what: str, form: str, config: ModelConfig, image_size: int) -> str:
    """Return why ``config`` is not exported as ``form`` now, or an empty string.

    ``what`` names the format in the sentence.
    """
    loaded, copies = EXPORTING[form]
    weights = BYTES * count(config, image_size).parameters
    running = running_memory(config, "inference", CHECKED_IMAGES, image_size) - weights
    needed = loaded + copies * weights + running
    return _shortage(f"Creating the {what} file", needed)


def fields_refusal(configs: Sequence[ModelConfig]) -> str:
    """Return why effective receptive fields are not measured now, or an empty string."""
    memory = (training_memory(config, FIELD_SIZE) for config in configs)
    needed = LOADED + sum(each.state / COPIES + each.saved for each in memory)
    return _shortage("Measuring", needed)


def _shortage(doing: str, needed: float) -> str:
    free = free_memory()
    if free is None or needed <= free:
        return ""
    return (
        f"{doing} takes about {needed / 1e9:.1f} GB of memory, but only {free / 1e9:.1f} GB are "
        "free on this machine: close other programs, or use a smaller network."
    )
