"""The two 1x1 convolutions of a block with GELU between them, on kernels of this project."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import weakref
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from depthwise import TOLERANCE, error
from torch import Tensor, nn
from torch.nn.modules.module import register_module_forward_hook

from models import VARIANTS, ModernResNet
from models.kernels import branch
from models.kernels.mlp import launch, layer, operators
from models.kernels.mlp.autograd import Mlp, mlp

SUPPORT = Path(__file__).parents[1] / "support"


def drawn(*shape: int, **options) -> Tensor:
    return torch.randn(shape, **options).requires_grad_()


def inputs(dtype=torch.float64, device="cpu", rows=50, channels=40) -> list[Tensor]:
    options = {"dtype": dtype, "device": device}
    hidden = 4 * channels
    shapes = ((rows, channels), (hidden, channels), (hidden,), (channels, hidden), (channels,))
    return [drawn(*shape, **options) for shape in shapes]


def plain(x, weight1, bias1, weight2, bias2) -> Tensor:
    return F.linear(F.gelu(F.linear(x, weight1, bias1)), weight2, bias2)


def test_the_kernels_are_exact_in_tritons_interpreter():
    environment = {**os.environ, "TRITON_INTERPRET": "1"}
    run = subprocess.run(
        [sys.executable, SUPPORT / "interpreted_mlp.py", "200,96,384", "130,40,168"],
        capture_output=True,
        text=True,
        env=environment,
    )
    assert run.returncode == 0, run.stderr
    lines = run.stdout.splitlines()
    assert len(lines) == 2
    for line in lines:
        for name, found in json.loads(line).items():
            assert found < TOLERANCE[torch.float16], name


def test_the_code_of_a_kernel_stays_loaded(monkeypatch):
    """Triton unloads it when what it returned is freed."""

    class Compiled:
        pass

    def run(*_: object, **_options: object) -> Compiled:
        made.append(weakref.ref(compiled := Compiled()))
        return compiled

    made: list[weakref.ref] = []
    monkeypatch.setattr(launch, "prepared", lambda *_: None)
    tiling = launch.OF_LINEAR._replace(programs=1)
    kernel = launch.TritonLauncher({(1, 1, 1): run}, (None,), tiling, torch.device("cpu"))
    kernel((torch.zeros(8),), (1, 1, 1))
    assert made[0]() is not None


@pytest.mark.parametrize("bias", [True, False])
def test_first_and_second_derivatives_are_those_of_the_plain_layers(bias):
    given = inputs()
    if not bias:
        given[-1] = None
    wanted = [tensor for tensor in given if tensor is not None]
    found, exact = mlp(*given), plain(*given)
    gradient = torch.randn_like(found)
    assert torch.allclose(found, exact)
    firsts = []
    for out in (found, exact):
        firsts.append(torch.autograd.grad(out, wanted, gradient, retain_graph=True))
        (by_x,) = torch.autograd.grad(out, given[:1], gradient, create_graph=True)
        firsts[-1] += torch.autograd.grad(by_x.square().sum(), given[:4])
    for ours, theirs in zip(*firsts, strict=True):
        assert torch.allclose(ours, theirs)


def test_only_what_is_wanted_is_computed(monkeypatch):
    given = [tensor.detach() for tensor in inputs()]
    assert mlp(*given).grad_fn is None
    given[3].requires_grad_()
    monkeypatch.delattr(operators, "gelu_gradient")  # for the first layer
    out = mlp(*given)
    assert isinstance(out.grad_fn, Mlp._backward_cls)
    out.sum().backward()
    (expected,) = torch.autograd.grad(plain(*given).sum(), given[3])
    assert torch.allclose(given[3].grad, expected)


@pytest.fixture
def everywhere(monkeypatch):
    """What runs on large inputs in half precision on CUDA runs on any."""
    monkeypatch.setattr(branch, "in_half_on_cuda", lambda _: True)
    monkeypatch.setattr(layer, "_least", lambda: 0)
    monkeypatch.setattr(operators, "supported", lambda *_: True)


def network(**fields) -> ModernResNet:
    torch.manual_seed(0)
    config = VARIANTS["convnext_tiny"].replace(depths=(1, 1), layer_scale=1.0, **fields)
    return ModernResNet(config).to(memory_format=torch.channels_last)


def images() -> Tensor:
    torch.manual_seed(1)
    return torch.randn(2, 3, 64, 64).to(memory_format=torch.channels_last)


def results(run, net: nn.Module) -> list[Tensor]:
    """Return logits and gradients, in float64: gradients of biases before batch norms are 0."""
    out = run(images().double())
    return [out, *torch.autograd.grad(out.square().sum(), list(net.parameters()))]


@pytest.mark.usefixtures("everywhere")
@pytest.mark.parametrize(
    ("fields", "compile_it", "joined"),
    [
        ({}, False, True),
        ({}, True, True),
        ({"activation": "relu"}, False, False),
        ({"norm": "batch"}, False, True),
        ({"response_norm": True}, False, False),
    ],
    ids=["ConvNeXt", "compiled", "ReLU", "batch norm", "V2"],
)
def test_a_network_that_runs_layers_together_gives_the_same(
    fields, compile_it, joined, monkeypatch
):
    net = network(**fields).double()
    with monkeypatch.context() as plainly:
        plainly.setattr(branch, "in_half_on_cuda", lambda _: False)
        expected = results(net, net)
    calls = []
    monkeypatch.setattr(branch, "applied", lambda *given: calls.append(1) or layer.applied(*given))
    run = torch.compile(net, backend="aot_eager", fullgraph=True) if compile_it else net
    for ours, theirs in zip(results(run, net), expected, strict=True):
        assert error(ours.detach(), theirs.detach()) < 1e-10
    assert bool(calls) == joined


@pytest.mark.usefixtures("everywhere")
@pytest.mark.parametrize(
    "register",
    [nn.Module.register_forward_hook, lambda _, hook: register_module_forward_hook(hook)],
    ids=["of a layer", "of all modules"],
)
def test_layers_with_hooks_are_called_one_by_one(register):
    net, seen = network(), []
    activation = net.stages[0].blocks[0].branch.act2
    hook = register(activation, lambda module, *_: seen.append(module))
    net(images())
    hook.remove()
    assert seen.count(activation) == 1


@pytest.mark.usefixtures("everywhere")
def test_what_is_exported_runs_without_this_project():
    net = network().eval()
    expected = net(images())
    exported = torch.export.export(net, (images(),))
    assert "roadmap" not in exported.graph_module.code
    traced, scripted = torch.jit.trace(net, images()), torch.jit.script(net)
    symbolic = torch.fx.symbolic_trace(net)
    for run in (exported.module(), traced, scripted, symbolic):
        assert torch.allclose(run(images()), expected, atol=1e-5)


@pytest.mark.cuda
@pytest.mark.parametrize("compile_it", [False, True])
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize(("rows", "channels"), [(1000, 96), (333, 40)])
def test_on_cuda(rows, channels, dtype, compile_it):
    given = [
        tensor.detach().mul(0.3).requires_grad_()
        for tensor in inputs(dtype, "cuda", rows, channels)
    ]
    exact = [tensor.detach().double().requires_grad_() for tensor in given]
    assert operators.supported(given[0].device, (channels, 4 * channels))
    run = torch.compile(mlp, fullgraph=True) if compile_it else mlp
    found, expected = run(*given), plain(*exact)
    gradient = torch.randn_like(found)
    assert error(found.detach(), expected.detach()) < TOLERANCE[dtype]
    for ours, theirs in zip(
        torch.autograd.grad(found, given, gradient),
        torch.autograd.grad(expected, exact, gradient.double()),
        strict=True,
    ):
        assert error(ours, theirs) < TOLERANCE[dtype]
    with torch.no_grad():
        assert error(run(*given), expected.detach()) < TOLERANCE[dtype]


@pytest.mark.cuda
@pytest.mark.parametrize("scaled", [True, False])
@pytest.mark.parametrize("compile_it", [False, True])
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize(("rows", "outputs"), [(1000, 96), (1000, 384), (333, 40)])
def test_a_sum_in_the_epilogue_on_cuda(rows, outputs, dtype, compile_it, scaled):
    shapes = ((rows, 4 * outputs), (outputs, 4 * outputs), (outputs,), (outputs,), (rows, outputs))
    x, weight, bias, gamma, shortcut = (
        torch.randn(shape, device="cuda", dtype=dtype) for shape in shapes
    )
    factors = gamma if scaled else None
    torch.compiler.reset()
    run = torch.ops.roadmap.linear_add
    run = torch.compile(run, fullgraph=True) if compile_it else run
    found = run(x, weight, bias, factors, shortcut)
    exact = F.linear(x.double(), weight.double(), bias.double())
    exact = shortcut.double() + (exact * gamma.double() if scaled else exact)
    assert error(found, exact) < TOLERANCE[dtype]


@pytest.mark.cuda
@pytest.mark.parametrize("compile_it", [False, True])
@pytest.mark.parametrize("autocast", [False, True])
def test_inference_gives_the_same_with_sums_in_operators(compile_it, autocast, monkeypatch):
    """In float32 and under autocast, against layers that are called one by one."""
    monkeypatch.setattr(operators, "LEAST_SUMMED", 0)
    net = network().cuda().eval()
    found = []
    for together in (True, False):
        torch.compiler.reset()
        if not together:
            monkeypatch.setattr(branch, "_alone", lambda *_: False)
        run = torch.compile(net, fullgraph=True) if compile_it else net
        with torch.inference_mode(), torch.autocast("cuda", torch.bfloat16, enabled=autocast):
            found.append(run(images().cuda()).double())
    assert error(*found) < (2e-2 if autocast else 5e-3)


def test_whether_the_kernels_run_is_asked_and_not_compiled(monkeypatch):
    def launched(_device):
        torch._dynamo.graph_break()
        return True

    monkeypatch.setattr(operators, "_launched", launched)
    run = torch.compile(
        lambda x: x + 1 if operators.supported(x.device, (8,)) else x,
        backend="eager",
        fullgraph=True,
    )
    assert run(torch.zeros(1)) == 1


@pytest.mark.cuda
@pytest.mark.parametrize("compile_it", [False, True])
def test_a_network_under_autocast_gives_the_same_with_and_without_the_kernels(
    compile_it, monkeypatch
):
    found = []
    for least in (0, 1 << 60):
        torch.compiler.reset()
        monkeypatch.setattr(layer, "_least", lambda: least)  # noqa: B023
        net = network().cuda()
        run = torch.compile(net, fullgraph=True) if compile_it else net
        with torch.autocast("cuda", torch.bfloat16):
            logits = run(images().cuda())
        logits.float().square().mean().backward()
        found.append([logits.float(), *(p.grad.float() for p in net.parameters())])
    for ours, theirs in zip(*found, strict=True):
        assert error(ours.detach(), theirs.detach().double()) < 5e-2


@pytest.mark.cuda
def test_a_graph_is_captured_and_gives_the_same():
    given = [tensor.detach() for tensor in inputs(torch.bfloat16, "cuda", 512, 96)]
    expected = mlp(*given)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        found = mlp(*given)
    graph.replay()
    assert torch.equal(found, expected)


@pytest.mark.cuda
def test_a_thread_whose_first_cuda_call_is_ours():
    """Autograd's threads are such; the driver has no current context there."""
    given = [tensor.detach() for tensor in inputs(torch.bfloat16, "cuda", 512, 96)]
    expected = mlp(*given)
    with ThreadPoolExecutor(1) as pool:
        found = pool.submit(operators.linear_gelu, *given[:3]).result()
    assert torch.equal(F.linear(found, *given[3:]), expected)
