"""Tests of exports share what each export of PyTorch's makes anew."""

import functools

import pytest


@pytest.fixture(autouse=True, scope="session")
def one_registry():
    """PyTorch's table of ONNX operators, which takes a third of a second to fill."""
    from torch.onnx._internal.exporter._registration import ONNXRegistry

    with pytest.MonkeyPatch.context() as patch:
        filled = functools.cache(ONNXRegistry.from_torchlib)
        patch.setattr(ONNXRegistry, "from_torchlib", staticmethod(filled))
        yield
