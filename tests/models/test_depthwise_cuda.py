"""The depthwise operator on a GPU, against float64."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from depthwise import TOLERANCE, error
from torch import Tensor

from models import VARIANTS, ModernResNet
from models.kernels.depthwise import DepthwiseConv2d, autograd, depthwise_conv2d, plans

pytestmark = pytest.mark.cuda


@pytest.fixture
def for_any_size(monkeypatch):
    """Our kernels also for inputs so small that PyTorch's would be faster."""
    monkeypatch.setattr(autograd, "LEAST_ELEMENTS", 0)


@pytest.mark.usefixtures("for_any_size")
@pytest.mark.parametrize("compile_it", [False, True])
@pytest.mark.parametrize("dtype", list(TOLERANCE))
@pytest.mark.parametrize(("size", "stride"), [(3, 2), (7, 1), (7, 2), (11, 1), (31, 1)])
def test_on_cuda(size, stride, dtype, compile_it):
    def drawn(*shape: int) -> Tensor:
        return torch.randn(shape, device="cuda", dtype=dtype).requires_grad_()

    x, weight, bias = drawn(3, 98, 29, 23), drawn(98, 1, size, size), drawn(98)
    run = torch.compile(depthwise_conv2d, fullgraph=True) if compile_it else depthwise_conv2d
    found = run(x, weight, bias, stride, size // 2)
    exact_inputs = [tensor.detach().double().requires_grad_() for tensor in (x, weight, bias)]
    exact = F.conv2d(*exact_inputs, stride, size // 2, groups=98)
    gradient = torch.randn_like(found)
    assert error(found.detach(), exact.detach()) < TOLERANCE[dtype]
    for ours, theirs in zip(
        torch.autograd.grad(found, (x, weight, bias), gradient),
        torch.autograd.grad(exact, exact_inputs, gradient.double()),
        strict=True,
    ):
        assert error(ours, theirs) < TOLERANCE[dtype]


@pytest.mark.usefixtures("for_any_size")
def test_a_network_under_autocast_has_the_same_outputs_and_gradients(monkeypatch):
    config = VARIANTS["convnext_tiny"].replace(depths=(1, 1), layer_scale=1.0)
    images = torch.randn(4, 3, 64, 64, device="cuda")
    results = []
    for choice in ("torch", "own"):
        monkeypatch.setenv("ROADMAP_DEPTHWISE", choice)
        torch.manual_seed(0)
        network = ModernResNet(config).cuda().to(memory_format=torch.channels_last)
        with torch.autocast("cuda", torch.bfloat16):
            logits = network(images)
        logits.float().square().mean().backward()
        results.append([logits.float(), *(p.grad.float() for p in network.parameters())])
    for ours, theirs in zip(*results, strict=True):
        assert error(ours, theirs.double()) < 5e-2


def test_an_image_at_an_odd_address():
    """Kernels read two channels at once; a view may begin in between."""
    values = torch.randn(2 * 31 * 33 * 8 + 1, device="cuda", dtype=torch.bfloat16)[1:]
    x = values.view(2, 31, 33, 8).permute(0, 3, 1, 2)
    weight = torch.randn(8, 1, 13, 13, device="cuda", dtype=torch.bfloat16)
    exact = F.conv2d(x.double(), weight.double(), None, 1, 6, groups=8)
    assert error(depthwise_conv2d(x, weight, None, 1, 6), exact) < TOLERANCE[torch.bfloat16]


def test_a_graph_is_captured_and_gives_the_same():
    x = torch.randn(2, 32, 14, 14, device="cuda").to(memory_format=torch.channels_last)
    weight = torch.randn(32, 1, 7, 7, device="cuda")
    expected = depthwise_conv2d(x, weight, None, 1, 3)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        found = depthwise_conv2d(x, weight, None, 1, 3)
    found.fill_(torch.nan)
    graph.replay()
    assert torch.equal(found, expected)


@pytest.mark.parametrize(
    ("way", "dtype", "own"),
    [
        ("eager", torch.float32, False),
        ("eager", torch.bfloat16, True),
        ("default", torch.bfloat16, False),
        ("reduce-overhead", torch.bfloat16, True),
    ],
)
def test_small_inputs_run_where_launches_are_fastest(way, dtype, own, monkeypatch):
    calls, convolved = [], plans.convolved
    monkeypatch.setattr(plans, "convolved", lambda *given: calls.append(0) or convolved(*given))
    layer = DepthwiseConv2d(32, 32, 7, padding=3, groups=32).cuda().to(dtype)
    x = torch.randn(2, 32, 14, 14, device="cuda", dtype=dtype)
    x = x.to(memory_format=torch.channels_last)
    torch._dynamo.reset()
    run = layer if way == "eager" else torch.compile(layer, mode=way)
    with torch.inference_mode():
        for _ in range(3):
            found = run(x).clone()
    assert bool(calls) == own
    exact = F.conv2d(x.double(), layer.weight.double(), layer.bias.double(), 1, 3, groups=32)
    assert error(found, exact.detach()) < TOLERANCE[torch.bfloat16]  # PyTorch's may use TF32


def test_a_captured_layer_runs_our_kernels(monkeypatch):
    layer = DepthwiseConv2d(32, 32, 7, padding=3, groups=32).cuda()
    x = torch.randn(2, 32, 14, 14, device="cuda").to(memory_format=torch.channels_last)
    depthwise_conv2d(x, layer.weight.detach(), None, 1, 3)  # compiles the kernel
    calls, convolved = [], plans.convolved
    monkeypatch.setattr(plans, "convolved", lambda *given: calls.append(0) or convolved(*given))
    with torch.inference_mode(), torch.cuda.graph(torch.cuda.CUDAGraph()):
        layer(x)
    assert calls


def test_it_is_exported_as_pytorchs_convolution():
    network = ModernResNet(VARIANTS["convnext_tiny"].replace(depths=(1,))).cuda().eval()
    images = torch.randn(2, 3, 64, 64, device="cuda").to(memory_format=torch.channels_last)
    exported = torch.export.export(network, (images,))
    assert "roadmap" not in exported.graph_module.code
