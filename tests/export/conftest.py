"""What the tests of exports share."""

import functools

import pytest


@pytest.fixture(autouse=True, scope="session")
def one_registry():
    """Fill PyTorch's table of ONNX operators once: each export takes 0.3 s to fill its own."""
    from torch.onnx._internal.exporter._registration import ONNXRegistry

    with pytest.MonkeyPatch.context() as patch:
        filled = functools.cache(ONNXRegistry.from_torchlib)
        patch.setattr(ONNXRegistry, "from_torchlib", staticmethod(filled))
        yield
