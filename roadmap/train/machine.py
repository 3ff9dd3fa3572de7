"""The machine a run is on: device, versions, energy."""

from __future__ import annotations

import platform
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import metadata

import torch

from models.text import said
from roadmap.measure.throughput import MeasureError, best_device, checked_device, device_name
from roadmap.train.errors import RefusedError

__all__ = [
    "EnergyMeter",
    "choose_device",
    "device_name",
    "out_of_memory",
    "prepare_device",
    "reproducible",
    "versions",
]

PACKAGES = ("torch", "torchvision", "timm", "safetensors", "numpy")


def choose_device(kind: str | None) -> torch.device:
    """The device asked for (None: the fastest there is).

    Raises ``RefusedError`` for one that this machine does not have.
    """
    try:
        return checked_device(kind or best_device())
    except (MeasureError, RuntimeError):
        raise RefusedError(
            f"this machine has no device {said(kind)}; use {best_device()!r}"
        ) from None


def prepare_device(kind: str | None, local_rank: int = 0) -> torch.device:
    """``choose_device``'s, made the current one; of several GPUs number ``local_rank``."""
    device = choose_device(kind)
    if device.type == "cuda":
        device = torch.device("cuda", local_rank)
        torch.cuda.set_device(device)
        torch.backends.cudnn.benchmark = True
    return device


def out_of_memory(error: BaseException) -> bool:
    """Whether a device, or the machine, had too little memory."""
    named = (torch.OutOfMemoryError, MemoryError)
    return isinstance(error, named) or "DefaultCPUAllocator" in str(error)


@contextmanager
def reproducible(device: torch.device) -> Iterator[None]:
    """While entered, a CPU computes the same bits each time; other devices are left as they are."""
    before = torch.are_deterministic_algorithms_enabled()
    fill = torch.utils.deterministic.fill_uninitialized_memory
    if device.type == "cpu":
        torch.use_deterministic_algorithms(True)
        # Nothing here reads memory before writing it, so filling it first would only cost time.
        torch.utils.deterministic.fill_uninitialized_memory = False
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(before)
        torch.utils.deterministic.fill_uninitialized_memory = fill


def versions() -> dict[str, str]:
    """Python's version and those of the packages that decide a run's numbers."""
    found = {"python": platform.python_version()}
    return found | {name: metadata.version(name) for name in PACKAGES}


class EnergyMeter:
    """Energy this process's device has used since the meter was made, where NVML tells."""

    def __init__(self, device: torch.device):
        self._device = device
        self._start = self._joules()

    def joules(self) -> float | None:
        now = self._joules()
        return None if now is None or self._start is None else now - self._start

    def _joules(self) -> float | None:
        if self._device.type != "cuda":
            return None
        try:
            import pynvml
        except ImportError:
            return None
        try:
            pynvml.nvmlInit()
            uuid = f"GPU-{torch.cuda.get_device_properties(self._device).uuid}"
            handle = pynvml.nvmlDeviceGetHandleByUUID(uuid)
            return pynvml.nvmlDeviceGetTotalEnergyConsumption(handle) / 1000
        except pynvml.NVMLError:
            return None
