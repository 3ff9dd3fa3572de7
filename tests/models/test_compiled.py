"""Which operators a compiled network runs, and that it gives the same, on a CPU that acts as a
GPU."""

from __future__ import annotations

from collections import Counter

import pytest
import torch
from as_cuda import act, autocast
from functorch.compile import make_boxed_func
from torch import Tensor
from torch._dynamo.backends.common import aot_autograd

from models import VARIANTS, ModernResNet
from models.kernels import branch, casts, pointwise
from models.kernels.layer_norm import LayerNorm2d
from models.kernels.mlp import layer, operators

HUGE = 1 << 60
BLOCKS = 3


@pytest.fixture(autouse=True)
def _as_cuda(monkeypatch):
    act(monkeypatch)
    torch._dynamo.reset()


@pytest.fixture
def network() -> ModernResNet:
    torch.manual_seed(0)
    config = VARIANTS["convnext_tiny"].replace(depths=(1, 2), width=16, layer_scale=0.5)
    net = ModernResNet(config.replace(num_classes=5))
    for parameter in net.parameters():
        parameter.data += 0.1 * torch.randn_like(parameter)
    return net.to(memory_format=torch.channels_last)


def images() -> Tensor:
    torch.manual_seed(1)
    return torch.randn(2, 3, 32, 32).to(memory_format=torch.channels_last)


def compiled(network: ModernResNet, found: Counter[str]):
    """Compile; ``found`` counts the operators of the forward passes."""

    def forward(graph, _inputs):
        found.update(str(node.target).partition(".")[2] for node in graph.graph.nodes)
        return make_boxed_func(graph)

    def backward(graph, _inputs):
        return make_boxed_func(graph)

    backend = aot_autograd(fw_compiler=forward, bw_compiler=backward)
    return torch.compile(network, backend=backend, fullgraph=True)


@pytest.mark.parametrize(
    ("large", "graphs", "own", "cast"),
    [(False, False, 0, 0), (False, True, BLOCKS, 0), (True, False, BLOCKS, 1)],
    ids=["small", "small in a CUDA graph", "large"],
)
def test_inference(large, graphs, own, cast, network, monkeypatch):
    monkeypatch.setattr(branch, "LARGE", 0 if large else HUGE)
    monkeypatch.setattr(operators, "LEAST_SUMMED", 0)
    network.eval()
    found = Counter()
    with (
        torch._inductor.config.patch({"triton.cudagraphs": graphs}),
        torch.inference_mode(),
        autocast(),
    ):
        assert torch.equal(compiled(network, found)(images()), network(images()))
    count = (found["linear_gelu.default"], found["cast.default"], found["gelu.default"])
    assert count == (own, cast, BLOCKS - own)
    assert found["linear_add.default"] == own


def test_residual_sums_are_sums_of_images(network):
    """Of rows of one image, they have a batch stride of 0 in torch.compile's code."""
    sums: list[torch.Size] = []

    def forward(graph, _inputs):
        nodes = [node for node in graph.graph.nodes if node.target is torch.ops.aten.add.Tensor]
        sums.extend(node.meta["val"].shape for node in nodes)
        return make_boxed_func(graph)

    backend = aot_autograd(fw_compiler=forward)
    with torch.inference_mode(), autocast():
        torch.compile(network.eval(), backend=backend, fullgraph=True)(images()[:1])
    assert sums == [(1, 16, 8, 8), (1, 32, 4, 4), (1, 32, 4, 4)]


@pytest.mark.parametrize(
    ("most", "graphs", "products"),
    [(HUGE, False, True), (HUGE, True, False), (0, False, False)],
    ids=["few images", "few in a CUDA graph", "many"],
)
def test_inference_in_float32(most, graphs, products, network, monkeypatch):
    monkeypatch.setattr(pointwise, "MOST_IN_FULL", most)
    network.eval()
    found = Counter()
    expected = network(images())  # with gradients
    with torch._inductor.config.patch({"triton.cudagraphs": graphs}), torch.inference_mode():
        logits = compiled(network, found)(images())
    assert torch.allclose(logits, expected, rtol=1e-4, atol=1e-5)
    pointwise_layers = 2 * BLOCKS
    others = found["convolution.default"] - (0 if products else pointwise_layers)
    assert (found["addmm.default"], others) == (1 + pointwise_layers * products, BLOCKS + 2)


def test_a_layer_scale_and_the_sum_are_one_operator(network, monkeypatch):
    def apart(_to: Tensor, x: Tensor, _gamma: Tensor) -> Tensor:
        calls.append(len(x))
        return x

    calls: list[int] = []
    monkeypatch.setattr(torch, "addcmul", apart)
    network.eval()
    with torch.inference_mode():
        network(images())
        assert len(calls) == BLOCKS
        with autocast():
            network(images())
    assert len(calls) == 2 * BLOCKS
    with autocast():
        network(images())  # with gradients
    assert len(calls) == 2 * BLOCKS


@pytest.mark.parametrize("large", [False, True], ids=["small", "large"])
def test_training(large, network, monkeypatch):
    monkeypatch.setattr(branch, "LARGE_TRAINING", 0 if large else HUGE)
    monkeypatch.setattr(layer, "LEAST_COMPILED", 0)
    found, gradients = Counter(), []
    for run in (network, compiled(network, found)):
        network.zero_grad()
        with autocast():
            run(images()).float().square().mean().backward()
        gradients.append([parameter.grad for parameter in network.parameters()])
    for ours, theirs in zip(*gradients, strict=True):
        assert (ours - theirs).norm() < 0.05 * theirs.norm()
    count = (found["linear_gelu_slope.default"], found["cast.default"], found["mul.Tensor"])
    # Large networks multiply weights by the factors of norms and scales, small ones activations.
    assert count == ((BLOCKS, 0, 4 * BLOCKS) if large else (0, 1, BLOCKS))
    assert not casts.traces_together()


@pytest.mark.parametrize("missing", ["bias", "elementwise_affine"])
def test_norms_may_lack_factors(missing, network, monkeypatch):
    monkeypatch.setattr(branch, "LARGE_TRAINING", 0)
    monkeypatch.setattr(layer, "LEAST_COMPILED", 0)
    network.stages[0].blocks[0].branch.norm1 = LayerNorm2d(16, **{missing: False})
    found = Counter()
    with autocast():
        compiled(network, found)(images()).float().sum().backward()
    assert found["linear_gelu_slope.default"] == BLOCKS
    assert all(parameter.grad is not None for parameter in network.parameters())


def test_factors_in_the_weights_change_neither_logits_nor_gradients(network, monkeypatch):
    """Exactly, in float64."""
    network.double()
    monkeypatch.setattr(branch, "in_half_on_cuda", lambda _: True)
    monkeypatch.setattr(layer, "LEAST_COMPILED", 0)
    monkeypatch.setattr(layer, "LEAST_RECORDED", HUGE)
    monkeypatch.setattr(layer, "computed_in", lambda rows, _device: rows.dtype)
    monkeypatch.setattr(layer, "_folds", lambda _: torch.compiler.is_compiling())
    found, results = Counter(), []
    for run in (network, compiled(network, found)):
        logits = run(images().double())
        parameters = list(network.parameters())
        results.append([logits, *torch.autograd.grad(logits.square().sum(), parameters)])
    assert found["linear_gelu_slope.default"] == BLOCKS
    for ours, theirs in zip(*results, strict=True):
        assert torch.allclose(ours, theirs, rtol=1e-9)
