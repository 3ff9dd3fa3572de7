"""The machine of a run: device and versions."""

from __future__ import annotations

import platform
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import metadata
from typing import Any

import torch

from models.text import said
from roadmap.errors import RefusedError
from roadmap.measure.throughput import MeasureError, best_device, checked_device, device_name

__all__ = [
    "choose_device",
    "device_name",
    "out_of_memory",
    "prepare_device",
    "reproducible",
    "versions",
]

PACKAGES = ("torch", "torchvision", "timm", "safetensors", "numpy")


def choose_device(kind: str | None) -> torch.device:
    """Return the requested device [default: the fastest available].

    Raises ``RefusedError`` if this machine does not have it.
    """
    try:
        return checked_device(kind or best_device())
    except (MeasureError, RuntimeError):
        raise RefusedError(
            f"--device is {said(kind)}, which this machine does not have; use {best_device()!r}"
        ) from None


def prepare_device(kind: str | None, local_rank: int = 0) -> torch.device:
    """Make ``choose_device``'s result the current device; of several GPUs, use ``local_rank``."""
    device = choose_device(kind)
    if device.type == "cuda":
        device = torch.device("cuda", local_rank)
        torch.cuda.set_device(device)
        torch.backends.cudnn.benchmark = True
    return device


def out_of_memory(error: BaseException) -> bool:
    """Whether an error means that a device or the machine ran out of memory."""
    named = (torch.OutOfMemoryError, MemoryError)
    return isinstance(error, named) or "DefaultCPUAllocator" in str(error)


@contextmanager
def reproducible(device: torch.device) -> Iterator[torch.device]:
    """While entered, make CPU computations deterministic; other devices are unchanged."""
    before = torch.are_deterministic_algorithms_enabled()
    deterministic: Any = torch.utils.deterministic  # a module with a property, which types lack
    fill = deterministic.fill_uninitialized_memory
    if device.type == "cpu":
        torch.use_deterministic_algorithms(True)
        # Nothing here reads uninitialized memory, so filling it first would only cost time.
        deterministic.fill_uninitialized_memory = False
    try:
        yield device
    finally:
        torch.use_deterministic_algorithms(before)
        deterministic.fill_uninitialized_memory = fill


def versions() -> dict[str, str]:
    """Return the versions of Python and of the packages that affect a run's numbers."""
    found = {"python": platform.python_version()}
    return found | {name: metadata.version(name) for name in PACKAGES}
