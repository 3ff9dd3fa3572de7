"""What the tests of exports share."""

import functools

import pytest


@pytest.fixture(autouse=True, scope="session")
def one_registry():
    """Fill PyTorch's tables of operators once: each export takes 0.3 s to fill its own for ONNX,
    and 0.1 s to go through all others 60 times."""
    from torch._export import utils
    from torch.onnx._internal.exporter._registration import ONNXRegistry

    with pytest.MonkeyPatch.context() as patch:
        filled = functools.cache(ONNXRegistry.from_torchlib)
        patch.setattr(ONNXRegistry, "from_torchlib", staticmethod(filled))
        found = functools.cache(utils._materialize_cpp_cia_ops)
        patch.setattr(utils, "_materialize_cpp_cia_ops", found)
        yield
