"""Peak memory on a device, relative to the memory in use at the start."""

from __future__ import annotations

import contextlib
import ctypes
import gc
from pathlib import Path

import torch

GB = 1e9


def release(device: torch.device) -> None:
    """Return the memory of deleted tensors to the device."""
    gc.collect()
    if device.type == "cuda":
        torch.cuda.empty_cache()
    elif device.type == "mps":
        torch.mps.empty_cache()
    else:
        _trim_heap()


class PeakMemory:
    """Records peak memory from its creation; ``restart`` resets the peak, not the starting point.

    CUDA: peak bytes in tensors. MPS: memory that Metal's driver holds for the process, which only
    grows until released. CPU: growth of the process's peak resident memory (Linux only).
    """

    def __init__(self, device: torch.device):
        self._device = device
        release(device)
        self._before = self._used("VmRSS") or 0
        self.restart()

    def restart(self) -> None:
        if self._device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(self._device)
        elif self._device.type == "cpu":
            _trim_heap()
            with contextlib.suppress(OSError):  # not Linux
                Path("/proc/self/clear_refs").write_text("5")

    def gigabytes(self) -> float | None:
        """Return the peak in 1e9 bytes, or None if the system does not report it."""
        peak = self._used("VmHWM")
        return None if peak is None else max(peak - self._before, 0) / GB

    def _used(self, resident: str) -> int | None:
        if self._device.type == "cuda":
            peak = resident == "VmHWM"
            read = torch.cuda.max_memory_allocated if peak else torch.cuda.memory_allocated
            return read(self._device)
        if self._device.type == "mps":
            return torch.mps.driver_allocated_memory()
        return _process_status(resident)


def _process_status(field: str) -> int | None:
    """Return a field of Linux's process status in bytes; None on other systems."""
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
    except OSError:
        return None
    kilobytes = (line.split()[1] for line in lines if line.startswith(f"{field}:"))
    return next((int(value) * 1024 for value in kilobytes), None)


def _trim_heap() -> None:
    """Make glibc return freed memory; reused memory would not count for the next network."""
    with contextlib.suppress(OSError, AttributeError, TypeError):  # another C library
        ctypes.CDLL(None).malloc_trim(0)
