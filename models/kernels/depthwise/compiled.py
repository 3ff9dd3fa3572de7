"""The kernels of ``kernels/``, compiled on first use for a kind of shape and the GPU at hand."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import torch
from torch import Tensor

from models.kernels.depthwise import driver

FOLDER = Path(__file__).with_name("kernels")
LEAST_CAPABILITY = (8, 0)  # converts bfloat16
TYPES = {torch.float32: 0, torch.bfloat16: 1, torch.float16: 2}


@dataclass(frozen=True)
class KernelSource:
    """A file of kernels and the names that it wants defined: what is compiled at once."""

    file: str
    constants: tuple[tuple[str, int], ...]
    threads: int  # of a block

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
    """A kernel on one GPU, compiled and loaded. Raises ``DriverError`` where that fails."""

    def __init__(self, name: str, kernels: KernelSource, device: torch.device):
        self.device, self.block = device, kernels.threads
        self.function = _module(kernels, device).function(name)

    def launch(self, threads: int, tensors: Sequence[Tensor], numbers: Sequence[int]) -> None:
        """On the current stream. Networks launch hundreds a step, so little is done here."""
        if torch.cuda.current_device() != self.device.index:
            with torch.cuda.device(self.device):
                return self.launch(threads, tensors, numbers)
        driver.make_context_current(self.device.index)
        count = len(tensors) + len(numbers)
        # The driver reads each argument at its place: a pointer's 8 bytes, an int's lower 4.
        values = (ctypes.c_int64 * count)(*(tensor.data_ptr() for tensor in tensors), *numbers)
        first = ctypes.addressof(values)
        places = (ctypes.c_void_p * count)(*range(first, first + 8 * count, 8))
        stream = ctypes.c_void_p(torch.cuda.current_stream().cuda_stream)
        grid, block = (-(-threads // self.block), 1, 1), (self.block, 1, 1)
        launch = driver.cuda().cuLaunchKernel
        driver.check(launch(self.function, *grid, *block, 0, stream, places, None))
        return None

    def threads_at_once(self) -> int:
        """How many threads the GPU holds, which the kernel's registers decide."""
        blocks = ctypes.c_int()
        with torch.cuda.device(self.device):
            driver.make_context_current(self.device.index)
            count = driver.cuda().cuOccupancyMaxActiveBlocksPerMultiprocessor
            nothing_shared = ctypes.c_size_t(0)
            driver.check(count(ctypes.byref(blocks), self.function, self.block, nothing_shared))
        multiprocessors = torch.cuda.get_device_properties(self.device).multi_processor_count
        return blocks.value * self.block * multiprocessors


@cache
def kernel(name: str, kernels: KernelSource, device: torch.device) -> Kernel:
    return Kernel(name, kernels, device)


@cache
def _module(kernels: KernelSource, device: torch.device) -> driver.Module:
    """All kernels of a file at once."""
    binary = driver.compiled(kernels.text, torch.cuda.get_device_capability(device))
    with torch.cuda.device(device):
        driver.make_context_current(device.index)
        return driver.Module(binary)


@cache
def missing(device: torch.device) -> str | None:
    """Why kernels can't be compiled for a GPU, or launched on it; None where they can."""
    if torch.version.hip or torch.cuda.get_device_capability(device) < LEAST_CAPABILITY:
        return "ours want an NVIDIA GPU of compute capability {}.{}".format(*LEAST_CAPABILITY)
    try:
        tensors = [torch.zeros(2, device=device) for _ in range(3)]
        probe = kernel("pack", source("taps", torch.float32, 32, C=1, K=1), device)
        probe.launch(2, tensors, (1, 0))
    except (driver.DriverError, OSError) as error:
        return f"ours could not be made, {str(error).strip().splitlines()[0]!r}"
    return None
