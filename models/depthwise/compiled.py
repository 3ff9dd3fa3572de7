"""The kernels of ``kernels/``, compiled on first use for a kind of shape and the GPU at hand."""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import torch
from torch import Tensor
from torch.cuda import _utils

FOLDER = Path(__file__).with_name("kernels")
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


def launch(name: str, kernels: Source, threads: int, arguments: Sequence[Tensor | int]) -> None:
    """Run kernel ``name`` with ``threads`` threads on the current stream of the tensors' GPU."""
    device = next(value.device for value in arguments if isinstance(value, Tensor))
    with torch.cuda.device(device):
        kernel = _kernel(name, kernels, device)
        blocks = -(-threads // kernels.threads)
        kernel(grid=(blocks, 1, 1), block=(kernels.threads, 1, 1), args=list(arguments))


@cache
def threads_at_once(name: str, kernels: Source, device: torch.device) -> int:
    """How many threads of a kernel the GPU holds, which its registers decide."""
    blocks = ctypes.c_int()
    with torch.cuda.device(device):
        function = _kernel(name, kernels, device).func
        count = _utils._get_gpu_runtime_library().cuOccupancyMaxActiveBlocksPerMultiprocessor
        _utils._check_cuda(
            count(ctypes.byref(blocks), function, kernels.threads, ctypes.c_size_t(0))
        )
    multiprocessors = torch.cuda.get_device_properties(device).multi_processor_count
    return blocks.value * kernels.threads * multiprocessors


def _kernel(name: str, kernels: Source, device: torch.device) -> Callable:
    _make_context_current(device.index)
    return _compiled(name, kernels, torch.cuda.get_device_capability(device), device.index)


@cache
def _compiled(name: str, kernels: Source, capability: tuple[int, int], _device: int) -> Callable:
    return torch.cuda._compile_kernel(
        kernels.text, name, "".join(map(str, capability)), nvcc_options=["--std=c++17"]
    )


def _make_context_current(device: int) -> None:
    """What the CUDA runtime does in a thread's first call, and autograd's threads may come here
    before that; the driver, which launches, does not do it."""
    driver, context = _utils._get_gpu_runtime_library(), ctypes.c_void_p()
    _utils._check_cuda(driver.cuCtxGetCurrent(ctypes.byref(context)))
    if not context:
        _utils._check_cuda(driver.cuDevicePrimaryCtxRetain(ctypes.byref(context), device))
        _utils._check_cuda(driver.cuCtxSetCurrent(context))
