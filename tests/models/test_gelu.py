"""GELU reads contiguous memory, whatever the format of its input."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from models.kernels.gelu import GELU


class Seen(TorchDispatchMode):
    """Notes whether GELUs and their gradients are computed from contiguous tensors."""

    def __init__(self):
        super().__init__()
        self.contiguous = []

    def __torch_dispatch__(self, operator, types, args=(), kwargs=None):
        if operator in (torch.ops.aten.gelu.default, torch.ops.aten.gelu_backward.default):
            self.contiguous += [tensor.is_contiguous() for tensor in args]
        return operator(*args, **kwargs or {})


@pytest.mark.parametrize("approximate", ["none", "tanh"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize(
    ("shape", "memory_format"),
    [
        ((2, 6, 5, 4), torch.channels_last),
        ((2, 6, 5, 4), torch.contiguous_format),
        ((2, 6), torch.contiguous_format),
    ],
)
def test_outputs_gradients_and_format_are_pytorchs(shape, memory_format, dtype, approximate):
    torch.manual_seed(0)
    x, gradient = (
        torch.randn(shape, dtype=dtype).to(memory_format=memory_format) for _ in range(2)
    )
    results = []
    for layer in (GELU(approximate), nn.GELU(approximate)):
        leaf = x.clone().requires_grad_()
        with Seen() as seen:
            out = layer(leaf)
            out.backward(gradient)
        results.append((out, leaf.grad))
        if type(layer) is GELU:
            assert seen.contiguous == [True, True, True]
    for ours, theirs in zip(*results, strict=True):
        torch.testing.assert_close(ours, theirs)
        assert ours.stride() == theirs.stride()
