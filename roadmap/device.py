"""Devices: which this machine has, their names, precision, memory that ran out; versions."""

from __future__ import annotations

import platform
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import metadata
from pathlib import Path
from typing import Any, Literal

import torch

from models.text import said
from roadmap.errors import RefusedError, TrainingError

Device = Literal["cpu", "cuda", "mps"]
DType = Literal["float32", "bf16", "fp16"]

DTYPES: dict[str, torch.dtype] = {
    "float32": torch.float32,
    "bf16": torch.bfloat16,
    "fp16": torch.float16,
}
#: Packages that affect a run's numbers.
PACKAGES = ("torch", "torchvision", "timm", "safetensors", "numpy")


class DeviceError(ValueError):
    """A device that this machine does not have; the message names one that it has."""


def best_device() -> Device:
    """Return the fastest kind of device of this machine."""
    if torch.cuda.is_available():
        return "cuda"
    return "mps" if torch.backends.mps.is_available() else "cpu"


def checked_device(kind: str) -> torch.device:
    """Return the device; raise ``DeviceError`` if this machine does not have it."""
    available: dict[str, Callable[[], bool]] = {
        "cuda": torch.cuda.is_available,
        "mps": torch.backends.mps.is_available,
    }
    if kind in available and not available[kind]():
        raise DeviceError(f"This machine has no {kind} device; use {best_device()!r}.")
    return torch.device(kind)


def choose_device(kind: str | None) -> torch.device:
    """Return the device of the option ``--device`` [default: the fastest available].

    Raises ``RefusedError`` if this machine does not have it.
    """
    try:
        return checked_device(kind or best_device())
    except (DeviceError, RuntimeError):
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


def device_name(device: torch.device) -> str:
    """Return the hardware's name and, for a CPU, the number of cores that torch uses."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    cores = torch.get_num_threads()
    chip = _processor()
    return chip if device.type == "mps" else f"{chip}, {cores} core{'s' * (cores != 1)}"


def _processor() -> str:
    if platform.system() == "Darwin":
        query = ["sysctl", "-n", "machdep.cpu.brand_string"]
        return subprocess.run(query, capture_output=True, text=True).stdout.strip()
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.machine())


def autocast(kind: str, precision: str) -> torch.autocast:
    """Return autocast to ``precision``, a key of ``DTYPES``, on a kind of device; off for
    float32."""
    return torch.autocast(kind, DTYPES[precision], enabled=precision != "float32")


def synchronize(device: torch.device) -> None:
    """Wait until ``device`` has done what was asked of it."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    elif device.type == "mps":
        torch.mps.synchronize()


def out_of_memory(error: BaseException) -> bool:
    """Whether ``error`` says that a device or the machine ran out of memory."""
    # torch.compile wraps the error; MPS and the CPU allocator raise a plain RuntimeError.
    words = ("out of memory", "can't allocate memory", "not enough memory")
    return isinstance(error, MemoryError | torch.OutOfMemoryError) or any(
        word in str(error) for word in words
    )


@contextmanager
def memory_explained(sentence: str) -> Iterator[None]:
    """Raise ``TrainingError`` with ``sentence`` if memory runs out."""
    try:
        yield
    except (RuntimeError, MemoryError) as error:
        if not out_of_memory(error):
            raise
        raise TrainingError(sentence) from None


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
    """Return the versions of Python and of ``PACKAGES``."""
    found = {"python": platform.python_version()}
    return found | {name: metadata.version(name) for name in PACKAGES}
