"""The depthwise operator on a GPU, against float64."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from models import VARIANTS, ModernResNet
from models.depthwise import depthwise_conv2d

TOLERANCE = {torch.float32: 1e-5, torch.bfloat16: 1e-2, torch.float16: 2e-3}

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs CUDA")


def error(found: Tensor, exact: Tensor) -> float:
    return ((found.double() - exact).abs().max() / exact.abs().max()).item()


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
