"""What this project runs on CUDA in half precision runs on the CPU, with PyTorch's kernels."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from pytest import MonkeyPatch

from models.kernels import branch, casts, pointwise
from models.kernels.mlp import operators


def act(monkeypatch: MonkeyPatch) -> None:
    """Take the CPU for a GPU, in half precision where autocast for CUDA is enabled."""
    for module in (branch, pointwise):
        monkeypatch.setattr(module, "in_half_on_cuda", lambda _: autocasts())
    for module in (branch, pointwise):
        monkeypatch.setattr(module, "in_full_on_cuda", lambda _: not autocasts())
    monkeypatch.setattr(casts, "useful", lambda _: autocasts())
    monkeypatch.setattr(operators, "supported", lambda *_: True)
    monkeypatch.setattr(operators, "_own", lambda *_: False)
    monkeypatch.setattr(torch.cuda, "is_current_stream_capturing", lambda: False)
    # Rounds once; rounded twice, results equal those of layers that are called one by one.
    monkeypatch.setattr(torch, "addcmul", lambda to, x, factors: to + x * factors)


def autocasts() -> bool:
    return torch.is_autocast_enabled("cuda")


@contextmanager
def autocast(dtype: torch.dtype = torch.bfloat16) -> Iterator[None]:
    """Autocast for CUDA, which ``torch.autocast`` refuses without a GPU, and for the CPU."""
    before = torch.get_autocast_dtype("cuda")
    torch.set_autocast_dtype("cuda", dtype)
    torch.set_autocast_enabled("cuda", True)
    try:
        with torch.autocast("cpu", dtype):
            yield
    finally:
        torch.set_autocast_enabled("cuda", False)
        torch.set_autocast_dtype("cuda", before)
