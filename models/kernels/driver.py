"""Kernel compilation with NVRTC and launch with the CUDA driver, through ctypes.

NVRTC comes with torch and the driver with the GPU; no compiler or CUDA toolkit is needed.
"""

from __future__ import annotations

import ctypes
import sys
import threading
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import torch

#: Sets of parameters that a kernel keeps, of 1 KB each.
MOST_PREPARED = 1024


class DriverError(RuntimeError):
    """An error of NVRTC or the CUDA driver."""


def compiled(text: str, capability: tuple[int, int]) -> bytes:
    """Compile CUDA C++ to machine code for GPUs of ``capability``. Raises ``DriverError``."""
    library, program = nvrtc(), ctypes.c_void_p()
    options = [b"--gpu-architecture=sm_%d%d" % capability, b"--std=c++17"]
    _check_nvrtc(
        library.nvrtcCreateProgram(ctypes.byref(program), text.encode(), b"", 0, None, None)
    )
    try:
        given = (ctypes.c_char_p * len(options))(*options)
        if library.nvrtcCompileProgram(program, len(options), given):
            raise DriverError(_read(library.nvrtcGetProgramLog, program).decode().strip("\0\n"))
        return _read(library.nvrtcGetCUBIN, program)
    finally:
        library.nvrtcDestroyProgram(ctypes.byref(program))


@cache
def nvrtc() -> ctypes.CDLL:
    """Load the system's NVRTC, or the one that came with torch.

    Raises ``DriverError`` if there is none.
    """
    if torch.version.cuda is None:
        raise DriverError("this torch is built without CUDA")
    major = torch.version.cuda.partition(".")[0]
    windows = sys.platform == "win32"
    name = f"nvrtc64_{major}0_0.dll" if windows else f"libnvrtc.so.{major}"
    packages = Path(torch.__file__).parents[1]
    beside = (*packages.glob(f"nvidia/*/lib/{name}"), packages / "torch" / "lib" / name)
    for place in (name, *map(str, beside)):
        try:
            return ctypes.CDLL(place)
        except OSError:
            continue
    raise DriverError(f"{name} was not found; reinstall torch")


class Module:
    """Machine code loaded on the device whose context is current."""

    def __init__(self, binary: bytes):
        self._module = ctypes.c_void_p()
        check(cuda().cuModuleLoadData(ctypes.byref(self._module), binary))

    def function(self, name: str) -> ctypes.c_void_p:
        found = ctypes.c_void_p()
        check(cuda().cuModuleGetFunction(ctypes.byref(found), self._module, name.encode()))
        return found


@cache
def cuda() -> ctypes.CDLL:
    try:
        return ctypes.CDLL("nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1")
    except OSError as error:
        raise DriverError(str(error)) from None


class Launcher:
    """A kernel that ``function`` stands for on ``device``, with ``threads`` per block.

    ``encoded`` returns the values of a launch's parameters as ctypes objects, from a key of
    addresses and sizes. They are kept, since steps of a training or inference repeat them: a launch
    then takes 6 µs on a host on which the driver alone takes 5.
    """

    def __init__(
        self,
        function: int | ctypes.c_void_p,
        device: torch.device,
        threads: int,
        encoded: Callable[[tuple[int, ...]], Sequence[Any]],
        *,
        shared: int = 0,
    ):
        self._function, self._device, self._encoded = function, device, encoded
        self._block = (threads, 1, 1, shared)
        self._prepared: dict[tuple[int, ...], tuple[Any, Sequence[Any]]] = {}

    def __call__(self, blocks: int, key: tuple[int, ...]) -> None:
        """Launch on the current stream. Raises ``DriverError``.

        Kept short, as its time counts in small networks: torch's public ``current_device`` and
        ``current_stream`` take longer than the launch.
        """
        index = self._device.index
        if torch._C._cuda_getDevice() != index:
            with torch.cuda.device(self._device):
                return self(blocks, key)
        make_context_current(index)
        places, _ = self._prepared.get(key) or self._prepare(key)
        stream = torch._C._cuda_getCurrentRawStream(index)
        grid = (blocks, 1, 1, *self._block)
        if code := _launch()(self._function, *grid, stream, places, None):
            check(code)
        return None

    def _prepare(self, key: tuple[int, ...]) -> tuple[Any, Sequence[Any]]:
        """Return an array of the parameters' addresses, and the parameters, which it needs."""
        if len(self._prepared) >= MOST_PREPARED:
            self._prepared.clear()
        values = self._encoded(key)
        places = (ctypes.c_void_p * len(values))(*map(ctypes.addressof, values))
        self._prepared[key] = places, values
        return places, values


@cache
def _launch() -> Any:
    """Return the driver's ``cuLaunchKernel``, with the types of its arguments."""
    launch = cuda().cuLaunchKernel
    sizes = [ctypes.c_uint] * 7  # grid, block and shared memory
    launch.argtypes = [ctypes.c_void_p, *sizes, *[ctypes.c_void_p] * 3]
    return launch


def check(result: int) -> None:
    """Raise ``DriverError`` if the driver returned an error."""
    if result:
        text = ctypes.c_char_p()
        cuda().cuGetErrorString(result, ctypes.byref(text))
        raise DriverError(f"CUDA error: {(text.value or b'unknown').decode()}")


_thread = threading.local()


def make_context_current(device: int) -> None:
    """Make the context of ``device`` current in this thread.

    The CUDA runtime does so in a thread's first call, but autograd's threads may get here earlier.
    """
    if getattr(_thread, "ready", False):
        return
    context = ctypes.c_void_p()
    check(cuda().cuCtxGetCurrent(ctypes.byref(context)))
    if not context:
        check(cuda().cuDevicePrimaryCtxRetain(ctypes.byref(context), device))
        check(cuda().cuCtxSetCurrent(context))
    _thread.ready = True


def _read(function: Callable[..., int], program: ctypes.c_void_p) -> bytes:
    """Return what ``function`` writes; the function of the same name plus "Size" has its size."""
    size = ctypes.c_size_t()
    _check_nvrtc(getattr(nvrtc(), f"{function.__name__}Size")(program, ctypes.byref(size)))
    buffer = ctypes.create_string_buffer(size.value)
    _check_nvrtc(function(program, buffer))
    return buffer.raw


def _check_nvrtc(result: int) -> None:
    if result:
        nvrtc().nvrtcGetErrorString.restype = ctypes.c_char_p
        raise DriverError(nvrtc().nvrtcGetErrorString(result).decode())
