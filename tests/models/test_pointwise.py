"""1x1 convolutions computed as matrix products."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
import torch.nn.functional as F
from depthwise import TOLERANCE, error
from torch import Tensor

from models.kernels.pointwise import WIDE, PointwiseConv2d


def kinds(output: Tensor) -> set[str]:
    """Return what autograd recorded for ``output``."""

    def below(function) -> Iterator[str]:
        if function is not None:
            yield type(function).__name__
            for other, _ in function.next_functions:
                yield from below(other)

    return set(below(output.grad_fn))


def channels_last(*shape: int, device: str = "cpu") -> Tensor:
    return torch.randn(shape, device=device).to(memory_format=torch.channels_last)


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize(
    ("inputs", "outputs", "product"), [(WIDE, WIDE, True), (WIDE, 96, False), (96, WIDE, False)]
)
def test_wide_layers_are_products_on_cpus(inputs, outputs, product, bias):
    layer = PointwiseConv2d(inputs, outputs, 1, bias=bias)
    x = channels_last(2, inputs, 5, 3)
    found, exact = layer(x), F.conv2d(x.double(), layer.weight.double()).detach()
    if bias:
        exact += layer.bias.detach().double()[:, None, None]
    assert found.is_contiguous(memory_format=torch.channels_last)
    assert error(found.detach(), exact) < TOLERANCE[torch.float32]
    assert ("ConvolutionBackward0" not in kinds(found)) == product
    assert "ConvolutionBackward0" in kinds(layer(x.contiguous()))


@pytest.mark.parametrize(
    ("images", "dtype", "product"),
    [(1, torch.bfloat16, True), (2, torch.bfloat16, False), (1, torch.float32, False)],
)
def test_one_image_in_half_precision_is_a_product_in_compiled_networks_on_cpus(
    images, dtype, product
):
    layer, x, called = PointwiseConv2d(96, 24, 1), channels_last(images, 96, 5, 3), []

    def backend(graph, _inputs):
        called.extend(node.target for node in graph.graph.nodes if node.op == "call_function")
        return graph

    with torch.autocast("cpu", torch.bfloat16, enabled=dtype == torch.bfloat16), torch.no_grad():
        found = torch.compile(layer, backend=backend, fullgraph=True)(x)
        assert error(found.double(), layer(x).double()) < TOLERANCE[dtype]
    assert (F.linear in called, F.conv2d in called) == (product, not product)
    assert found.is_contiguous(memory_format=torch.channels_last)


def test_what_is_exported_is_a_convolution():
    layer, x = PointwiseConv2d(WIDE, WIDE, 1).eval(), channels_last(2, WIDE, 5, 3)
    exported = torch.export.export(layer, (x,))
    assert "conv2d" in exported.graph_module.code
    assert "aten::linear" not in str(torch.jit.trace(layer, x).inlined_graph)
    scripted = torch.jit.script(layer)
    for run in (exported.module(), scripted):
        assert torch.allclose(run(x), layer(x), atol=1e-5)


@pytest.mark.cuda
@pytest.mark.parametrize("autocast", [True, False])
def test_layers_in_half_precision_are_products_on_cuda(autocast):
    layer = PointwiseConv2d(48, 96, 1).cuda()
    x = channels_last(2, 48, 14, 14, device="cuda")
    exact = F.conv2d(x.double(), layer.weight.double(), layer.bias.double()).detach()
    assert "ConvolutionBackward0" in kinds(layer(x))
    if not autocast:
        layer, x = layer.bfloat16(), x.bfloat16()
    with torch.autocast("cuda", torch.bfloat16, enabled=autocast):
        found = layer(x)
    assert found.dtype == torch.bfloat16
    assert found.is_contiguous(memory_format=torch.channels_last)
    assert "ConvolutionBackward0" not in kinds(found)
    assert error(found.detach(), exact) < TOLERANCE[torch.bfloat16]
