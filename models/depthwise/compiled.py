"""The kernels of ``kernels/``, compiled on first use for a kind of shape and the GPU at hand."""

from __future__ import annotations

import ctypes
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import torch
from torch import Tensor
from torch.cuda import _utils

FOLDER = Path(__file__).with_name("kernels")
LEAST_CAPABILITY = (8, 0)  # converts bfloat16
TYPES = {torch.float32: 0, torch.bfloat16: 1, torch.float16: 2}


@dataclass(frozen=True)
class Source:
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


def source(file: str, dtype: torch.dtype, threads: int, **constants: int) -> Source:
    return Source(file, (("TYPE", TYPES[dtype]), *constants.items()), threads)


class Kernel:
    """A kernel on one GPU, compiled and loaded. Raises ``RuntimeError`` where that fails."""

    def __init__(self, name: str, kernels: Source, device: torch.device):
        self.device, self.block = device, kernels.threads
        with torch.cuda.device(device):
            _make_context_current(device)
            capability = "".join(map(str, torch.cuda.get_device_capability(device)))
            options = ["--std=c++17"]
            found = torch.cuda._compile_kernel(kernels.text, name, capability, nvcc_options=options)
        self.function = found.func

    def launch(self, threads: int, tensors: Sequence[Tensor], numbers: Sequence[int]) -> None:
        """On the current stream. Networks launch hundreds a step, so little is done here."""
        if torch.cuda.current_device() != self.device.index:
            with torch.cuda.device(self.device):
                return self.launch(threads, tensors, numbers)
        _make_context_current(self.device)
        count = len(tensors) + len(numbers)
        # The driver reads each argument at its place: a pointer's 8 bytes, an int's lower 4.
        values = (ctypes.c_int64 * count)(*(tensor.data_ptr() for tensor in tensors), *numbers)
        first = ctypes.addressof(values)
        places = (ctypes.c_void_p * count)(*range(first, first + 8 * count, 8))
        stream = ctypes.c_void_p(torch._C._cuda_getCurrentRawStream(self.device.index))
        grid, block = (-(-threads // self.block), 1, 1), (self.block, 1, 1)
        _check(_driver().cuLaunchKernel(self.function, *grid, *block, 0, stream, places, None))
        return None

    def threads_at_once(self) -> int:
        """How many threads the GPU holds, which the kernel's registers decide."""
        blocks = ctypes.c_int()
        _make_context_current(self.device)
        count = _driver().cuOccupancyMaxActiveBlocksPerMultiprocessor
        _check(count(ctypes.byref(blocks), self.function, self.block, ctypes.c_size_t(0)))
        multiprocessors = torch.cuda.get_device_properties(self.device).multi_processor_count
        return blocks.value * self.block * multiprocessors


@cache
def kernel(name: str, kernels: Source, device: torch.device) -> Kernel:
    return Kernel(name, kernels, device)


@cache
def missing(device: torch.device) -> str | None:
    """Why kernels can't be compiled for a GPU; None where they can."""
    capability = torch.cuda.get_device_capability(device)
    if torch.version.hip or capability < LEAST_CAPABILITY:
        return "ours want an NVIDIA GPU of compute capability {}.{}".format(*LEAST_CAPABILITY)
    try:
        kernel("pack", source("taps", torch.float32, 32, C=1, K=1), device)
    except (OSError, RuntimeError) as error:
        return f"NVRTC, which compiles ours, says {str(error).strip().splitlines()[0]!r}"
    return None


@cache
def _driver() -> ctypes.CDLL:
    return _utils._get_gpu_runtime_library()


def _check(result: int) -> None:
    if result:
        _utils._check_cuda(result)


_thread = threading.local()


def _make_context_current(device: torch.device) -> None:
    """What the CUDA runtime does in a thread's first call. Autograd's threads may come here before
    that, and the driver, which launches, does not do it."""
    if getattr(_thread, "ready", False):
        return
    context = ctypes.c_void_p()
    _check(_driver().cuCtxGetCurrent(ctypes.byref(context)))
    if not context:
        _check(_driver().cuDevicePrimaryCtxRetain(ctypes.byref(context), device.index))
        _check(_driver().cuCtxSetCurrent(context))
    _thread.ready = True
