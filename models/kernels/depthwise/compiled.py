"""The kernels in ``kernels/``, compiled on first use for the shape and the GPU."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import torch
from torch import Tensor

from models.kernels import driver

FOLDER = Path(__file__).with_name("kernels")
LEAST_CAPABILITY = (8, 0)  # the first with bfloat16 conversion
TYPES = {torch.float32: 0, torch.bfloat16: 1, torch.float16: 2}


@dataclass(frozen=True)
class KernelSource:
    """A kernel file and the constants that it is compiled with."""

    file: str
    constants: tuple[tuple[str, int], ...]
    threads: int  # per block

    def __getitem__(self, constant: str) -> int:
        return dict(self.constants)[constant]

    @property
    def text(self) -> str:
        defined = (*self.constants, ("THREADS", self.threads))
        lines = [f"#define {name} {value}\n" for name, value in defined]
        return "".join(lines) + "".join(
            (FOLDER / f"{name}.cu").read_text(encoding="utf-8") for name in ("scalars", self.file)
        )


def source(file: str, dtype: torch.dtype, threads: int, **constants: int) -> KernelSource:
    return KernelSource(file, (("TYPE", TYPES[dtype]), *constants.items()), threads)


class Kernel:
    """A kernel, compiled for and loaded on one GPU. Raises ``DriverError`` if that fails."""

    def __init__(self, name: str, kernels: KernelSource, device: torch.device):
        self.device, self.block = device, kernels.threads
        self.function = _module(kernels, device).function(name)
        self._launch = driver.Launcher(self.function, device, self.block, _encoded)

    def launch(self, threads: int, tensors: Sequence[Tensor], numbers: Sequence[int]) -> None:
        """Launch on the current stream. Raises ``DriverError``."""
        blocks = -(-threads // self.block)
        self._launch(blocks, (*[tensor.data_ptr() for tensor in tensors], *numbers))

    def threads_at_once(self) -> int:
        """Return how many threads the GPU can run at once, given the kernel's registers."""
        blocks = ctypes.c_int()
        with torch.cuda.device(self.device):
            driver.make_context_current(self.device.index)
            count = driver.cuda().cuOccupancyMaxActiveBlocksPerMultiprocessor
            nothing_shared = ctypes.c_size_t(0)
            driver.check(count(ctypes.byref(blocks), self.function, self.block, nothing_shared))
        multiprocessors = torch.cuda.get_device_properties(self.device).multi_processor_count
        return blocks.value * self.block * multiprocessors


def _encoded(key: tuple[int, ...]) -> list[ctypes.c_int64]:
    """Return pointers and ints; the driver reads the lower four bytes of an int."""
    return [ctypes.c_int64(value) for value in key]


@cache
def kernel(name: str, kernels: KernelSource, device: torch.device) -> Kernel:
    return Kernel(name, kernels, device)


@cache
def _module(kernels: KernelSource, device: torch.device) -> driver.Module:
    binary = driver.compiled(kernels.text, torch.cuda.get_device_capability(device))
    with torch.cuda.device(device):
        driver.make_context_current(device.index)
        return driver.Module(binary)


@cache
def missing(device: torch.device) -> str | None:
    """Return why kernels cannot be compiled for or launched on ``device``, or None if they can."""
    if torch.version.hip or torch.cuda.get_device_capability(device) < LEAST_CAPABILITY:
        least = "{}.{}".format(*LEAST_CAPABILITY)
        return f"our kernels need an NVIDIA GPU of compute capability {least} or higher"
    try:
        tensors = [torch.zeros(2, device=device) for _ in range(3)]
        probe = kernel("pack", source("taps", torch.float32, 32, C=1, K=1), device)
        probe.launch(2, tensors, (1, 0))
    except (driver.DriverError, OSError) as error:
        return f"our kernels could not be compiled ({str(error).strip().splitlines()[0]})"
    return None
