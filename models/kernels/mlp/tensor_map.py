"""Descriptions of matrices for the tensor memory accelerator, as Triton encodes them."""

from __future__ import annotations

import ctypes
from typing import Any, NamedTuple

import torch

from models.kernels import driver

#: CUtensorMapDataType of each dtype, and its bytes.
TYPES = {torch.float16: 6, torch.bfloat16: 9}
ELEMENT = 2
#: Size and alignment of a CUtensorMap, in bytes.
BYTES, ALIGNED = 128, 64
L2_PROMOTION_128B = 2


class Tiled(NamedTuple):
    """A matrix: its two sizes among "MNK", and the tile that one transfer moves."""

    sizes: str
    tile: tuple[int, int]


class TensorMap:
    """Encodes addresses and sizes of ``matrix``; ``described`` is what Triton says of it."""

    def __init__(self, matrix: Tiled, dtype: torch.dtype, described: dict[str, Any]):
        self._sizes = ["MNK".index(size) for size in matrix.sizes]
        self._type, self._swizzle = TYPES[dtype], described["swizzle"]
        self._block = tuple(described["block_size"])

    def encoded(self, address: int, sizes: tuple[int, ...]) -> list[Any]:
        """Return a kernel's parameters: the map, then the matrix's sizes and strides.

        ``sizes`` are M, N and K. Raises ``DriverError``.
        """
        rows, columns = (sizes[index] for index in self._sizes)
        buffer = (ctypes.c_char * (BYTES + ALIGNED))()
        encoded = (ctypes.c_char * BYTES).from_buffer(buffer, -ctypes.addressof(buffer) % ALIGNED)
        # The accelerator counts from the last dimension.
        code = driver.cuda().cuTensorMapEncodeTiled(
            encoded,
            self._type,
            2,
            ctypes.c_void_p(address),
            (ctypes.c_uint64 * 2)(columns, rows),
            (ctypes.c_uint64 * 1)(ELEMENT * columns),
            (ctypes.c_uint32 * 2)(*reversed(self._block)),
            (ctypes.c_uint32 * 2)(1, 1),
            0,  # not interleaved
            self._swizzle,
            L2_PROMOTION_128B,
            0,  # zeros outside
        )
        driver.check(code)
        shape = (ctypes.c_int32(rows), ctypes.c_int32(columns))
        return [encoded, *shape, ctypes.c_int64(columns), ctypes.c_int64(1)]
