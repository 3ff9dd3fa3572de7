"""The depthwise operator against float64, its kernels compiled for this CPU, thread by thread."""

from __future__ import annotations

import ctypes
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from functools import cache

import pytest
import torch
import torch.nn.functional as F
from depthwise import TOLERANCE, error
from forked import forked_run
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch._dynamo.testing import CompileCounter
from torch._subclasses.fake_tensor import FakeTensorMode

from models import VARIANTS, ModernResNet
from models.kernels import driver
from models.kernels.depthwise import (
    DepthwiseConv2d,
    compiled,
    depthwise_conv2d,
    depthwise_used,
    operator,
    plans,
)

#: Runs a kernel's threads one after the other.
LOOP = """
extern "C" void run_{name}(long long threads, {parameters}) {{
  for (the_thread = 0; the_thread < threads; ++the_thread) {name}({names});
}}
"""
KERNEL = re.compile(r"KERNEL (\w+)\((.*?)\)", re.DOTALL)


@pytest.fixture(scope="module")
def on_host(tmp_path_factory):
    """Launches go to the CPU; what they write is poisoned before."""
    if not shutil.which("g++"):
        pytest.skip("no C++ compiler")
    folder = tmp_path_factory.mktemp("kernels")

    @cache
    def library(kernels: compiled.Source) -> ctypes.CDLL:
        place = folder / f"{abs(hash(kernels))}"
        place.with_suffix(".cpp").write_text(kernels.text + loops(kernels.text))
        command = ["g++", "-std=c++17", "-O1", "-w", "-shared", "-fPIC", "-fwrapv"]
        subprocess.run(
            [*command, "-o", place.with_suffix(".so"), place.with_suffix(".cpp")], check=True
        )
        return ctypes.CDLL(str(place.with_suffix(".so")))

    class OnHost:
        def __init__(self, name: str, kernels: compiled.Source, _device: torch.device):
            self.run, self.block = getattr(library(kernels), f"run_{name}"), kernels.threads
            self.written = written(name, kernels.text)

        def launch(self, threads: int, tensors: Sequence[Tensor], numbers: Sequence[int]) -> None:
            for position in self.written:
                tensors[position].fill_(torch.nan)
            pointers = (ctypes.c_void_p(tensor.data_ptr()) for tensor in tensors)
            rounded = -(-threads // self.block) * self.block
            self.run(ctypes.c_longlong(rounded), *pointers, *map(ctypes.c_int, numbers))

        def threads_at_once(self) -> int:
            return 64

    patch = pytest.MonkeyPatch()
    patch.setattr(compiled, "kernel", OnHost)
    yield
    patch.undo()


def loops(text: str) -> str:
    return "".join(
        LOOP.format(
            name=name, parameters=given, names=", ".join(p.split()[-1] for p in given.split(","))
        )
        for name, given in KERNEL.findall(text)
    )


def written(kernel: str, text: str) -> list[int]:
    """Return the positions of the tensors that a kernel writes."""
    parameters = dict(KERNEL.findall(text))[kernel].split(",")
    pointers = [parameter for parameter in parameters if "*" in parameter]
    return [i for i, pointer in enumerate(pointers) if "const" not in pointer]


@st.composite
def problems(draw):
    """Sizes that divide no tile, kernels larger than the image, any stride and padding; filters in
    float32, as under autocast, or in the tensors' precision."""
    size = draw(st.sampled_from([3, 5, 7, 9, 11, 13, 15, 25, 31]))
    padding = draw(st.sampled_from([size // 2, size // 2, 0, size - 1]))
    stride = draw(st.sampled_from([1, 1, 2]))
    least = max(1, size - 2 * padding)
    height, width = (draw(st.integers(least, least + 19)) for _ in range(2))
    dtype = draw(st.sampled_from(list(TOLERANCE)))
    return (
        size,
        stride,
        padding,
        draw(st.integers(1, 3)),
        draw(st.integers(1, 9)),
        height,
        width,
        dtype,
        draw(st.booleans()),
    )


@pytest.mark.usefixtures("on_host")
@settings(max_examples=60)
@given(problems(), st.integers(0, 2**31))
def test_kernels_are_exact(problem, seed):
    size, stride, padding, batch, channels, height, width, dtype, wide = problem
    generator = torch.Generator().manual_seed(seed)

    def drawn(*shape: int) -> Tensor:
        return torch.randn(shape, generator=generator).to(dtype).double()

    x, weight, bias = (
        drawn(batch, channels, height, width),
        drawn(channels, 1, size, size),
        drawn(channels),
    )
    for tensor in (x, weight, bias):
        tensor.requires_grad_()
    y = F.conv2d(x, weight, bias, stride, padding, groups=channels)
    gradient = drawn(*y.shape)
    exact = torch.autograd.grad(y, (x, weight, bias), gradient)

    def given_as(tensor: Tensor) -> Tensor:
        return (
            tensor.detach()
            .to(dtype)
            .contiguous(
                memory_format=torch.channels_last if tensor.ndim == 4 else torch.contiguous_format
            )
        )

    x, weight, bias, gradient = map(given_as, (x, weight, bias, gradient))
    if wide:
        weight, bias = weight.float(), bias.float()
    limit = TOLERANCE[dtype]
    assert error(plans.convolved(x, weight, bias, stride, padding), y.detach()) < limit
    by_x = plans.input_gradient(gradient, weight, height, width, stride, padding)
    assert error(by_x, exact[0]) < limit
    by_weight, by_bias = plans.weight_gradient(gradient, x, size, stride, padding)
    assert error(by_weight, exact[1]) < 1e-5
    assert error(by_bias, exact[2]) < 1e-5


@pytest.mark.usefixtures("on_host")
def test_the_operator_on_the_kernels_has_pytorchs_derivatives(monkeypatch):
    """First and second; of an offset view in NCHW, and of a bias with strides."""
    monkeypatch.setattr(operator, "_own", lambda *_: True)
    x = torch.randn(2 * 6 * 9 * 9 + 1)[1:].view(2, 6, 9, 9).requires_grad_()
    weight, bias = torch.randn(6, 1, 5, 5, requires_grad=True), torch.randn(12)[::2]
    bias.requires_grad_()

    def derivatives(convolve) -> list[Tensor]:
        y = convolve()
        first = torch.autograd.grad(y.square().sum(), (x, weight, bias), create_graph=True)
        second = torch.autograd.grad(sum(g.square().sum() for g in first), (x, weight, bias))
        return [y, *first, *second]

    ours = derivatives(lambda: depthwise_conv2d(x, weight, bias, 1, 2))
    theirs = derivatives(lambda: F.conv2d(x, weight, bias, 1, 2, groups=6))
    for found, exact in zip(ours, theirs, strict=True):
        assert error(found.detach(), exact.detach().double()) < 1e-5


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize(("stride", "padding"), [(1, 1), (2, 1), (1, 0), (2, 2)])
def test_gradients_in_double_precision(stride, padding, bias):
    x = torch.randn(2, 2, 5, 4, dtype=torch.float64, requires_grad=True)
    weight = torch.randn(2, 1, 3, 3, dtype=torch.float64, requires_grad=True)
    offset = torch.randn(2, dtype=torch.float64, requires_grad=True) if bias else None

    def run(x, weight, offset=None):
        return depthwise_conv2d(x, weight, offset, stride, padding)

    inputs = (x, weight, offset) if bias else (x, weight)
    assert torch.autograd.gradcheck(run, inputs)
    assert torch.autograd.gradgradcheck(run, inputs)


@pytest.mark.parametrize(
    ("weight", "bias", "padding", "sentence"),
    [
        ((4, 1, 3, 3), None, 1, "a depthwise convolution takes"),
        ((8, 2, 3, 3), None, 1, "a depthwise convolution takes"),
        ((8, 1, 3, 5), None, 1, "a depthwise convolution takes"),
        ((8, 1, 3, 3), (4,), 1, r"bias is \(4,\); use \(8,\)"),
        ((8, 1, 9, 9), None, 1, "kernel size is 9, larger than the input"),
    ],
)
def test_what_does_not_fit_is_refused(weight, bias, padding, sentence):
    bias = None if bias is None else torch.randn(bias)
    with pytest.raises(RuntimeError, match=sentence):
        depthwise_conv2d(torch.randn(2, 8, 5, 5), torch.randn(weight), bias, 1, padding)


def test_no_image_gives_no_output():
    x, weight = torch.randn(0, 4, 9, 9), torch.randn(4, 1, 5, 5, requires_grad=True)
    y = depthwise_conv2d(x, weight, None, 1, 2)
    assert y.shape == (0, 4, 9, 9)
    y.sum().backward()
    assert not weight.grad.any()


def test_sizes_that_change_are_compiled_once():
    torch._dynamo.reset()
    counter = CompileCounter()
    weight = torch.randn(4, 1, 5, 5)
    run = torch.compile(
        lambda x: depthwise_conv2d(x, weight, None, 1, 2), backend=counter, dynamic=True
    )
    for side in (9, 12, 17):
        assert run(torch.randn(2, 4, side, side + 1)).shape == (2, 4, side, side + 1)
    assert counter.frame_count == 1


def test_torch_sees_an_ordinary_operator():
    x = torch.randn(2, 4, 9, 9, requires_grad=True)
    weight = torch.randn(4, 1, 5, 5, requires_grad=True)
    bias = torch.randn(4, requires_grad=True)
    torch.library.opcheck(torch.ops.roadmap.depthwise_conv2d.default, (x, weight, bias, 2, 2))
    torch.library.opcheck(torch.ops.roadmap.depthwise_conv2d.default, (x, weight, None, 1, 2))


@pytest.mark.parametrize("capability", [(8, 0), (9, 0)])
def test_nvrtc_compiles_them(capability):
    """NVRTC needs no GPU; what it makes for one is not run here."""
    try:
        driver.nvrtc()
    except driver.DriverError:
        pytest.skip("this torch comes without NVRTC")
    for kernels in (
        plans.streaming(7, 96, 56, torch.bfloat16, wide=True),
        plans.streaming(9, 96, 56, torch.float32, wide=False),
        plans.streaming(11, 97, 13, torch.float16, wide=False),
        plans.tiled(31, 1, 96, 56, torch.bfloat16),
        plans.tiled(3, 2, 97, 13, torch.float32),
        compiled.source("taps", torch.float32, 128, C=96, K=7),
    ):
        binary = driver.compiled(kernels.text, capability)
        for name, _ in KERNEL.findall(kernels.text):
            assert name.encode() in binary
    with pytest.raises(driver.DriverError, match="undefined"):
        driver.compiled("int f() { return missing; }", capability)


# -- the layer ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "own"),
    [
        ({}, True),
        ({"stride": 2}, True),
        ({"stride": 2, "kernel_size": 5, "padding": 2}, False),  # PyTorch's is as fast
        ({"stride": 3}, False),
        ({"kernel_size": 33, "padding": 16}, False),
        ({"kernel_size": 4}, False),
        ({"kernel_size": (7, 5)}, False),
        ({"padding": "same"}, False),
        ({"padding": (3, 2)}, False),
        ({"dilation": 2}, False),
        ({"padding_mode": "reflect"}, False),
        ({"out_channels": 12}, False),
        ({"groups": 3}, False),
    ],
)
def test_the_layer_is_conv2d(options, own):
    given = {"in_channels": 6, "out_channels": 6, "kernel_size": 7, "padding": 3, "groups": 6}
    ours, theirs = DepthwiseConv2d(**given | options), nn.Conv2d(**given | options)
    theirs.load_state_dict(ours.state_dict())
    assert ours.own == own
    x = torch.randn(2, 6, 40, 40)
    assert torch.equal(ours(x), theirs(x))


@pytest.mark.parametrize("train", [True, False])
def test_a_compiled_network_keeps_our_kernels(train):
    """As torch.compile sees it, with tensors that only say they are on a GPU."""
    graphs = []

    def backend(graph, _inputs):
        graphs.append([str(node.target) for node in graph.graph.nodes])
        return graph.forward

    config = VARIANTS["convnext_tiny"].replace(depths=(1, 2), init="kaiming")
    with FakeTensorMode(allow_non_fake_inputs=True):
        with torch.device("cuda"):
            network = ModernResNet(config).train(train)
            images = torch.empty(2, 3, 64, 64).to(memory_format=torch.channels_last)
        torch.compile(network, backend=backend, fullgraph=True)(images)
    assert [targets.count("roadmap.depthwise_conv2d") for targets in graphs] == [3]


def test_a_network_can_be_traced():
    config = VARIANTS["convnext_tiny"].replace(depths=(1,), num_classes=3, norm="batch")
    network = ModernResNet(config).eval()
    x = torch.randn(1, 3, 32, 32)
    assert torch.equal(torch.fx.symbolic_trace(network)(x), network(x))


def test_it_says_whose_kernels_are_used(monkeypatch):
    cpu, gpu = torch.device("cpu"), torch.device("cuda", 0)
    config = VARIANTS["convnext_tiny"].replace(depths=(1, 2))
    assert "the device is cpu" in depthwise_used(ModernResNet(config), cpu)[1]
    assert "no depthwise convolution" in depthwise_used(nn.Linear(1, 1), gpu)[1]
    monkeypatch.setattr(compiled, "missing", lambda _device: None)
    used = depthwise_used(ModernResNet(config), gpu)
    sentence = "3 of 3 depthwise convolutions run on our CUDA kernels where inputs are large."
    assert used == ("own", sentence)
    assert depthwise_used(ModernResNet(config), gpu, channels_last=False)[0] == "torch"
    monkeypatch.setattr(compiled, "missing", lambda _device: "there is no NVRTC")
    assert "there is no NVRTC" in depthwise_used(ModernResNet(config), gpu)[1]
    monkeypatch.setenv("ROADMAP_DEPTHWISE", "torch")
    assert "ROADMAP_DEPTHWISE is torch" in depthwise_used(ModernResNet(config), gpu)[1]


def test_it_can_be_imported_again():
    """As Streamlit and notebooks do when a file has changed."""
    again = """
import sys, torch
from models.kernels.depthwise import depthwise_conv2d
for name in [name for name in sys.modules if name.startswith("models")]:
    del sys.modules[name]
from models.kernels.depthwise import depthwise_conv2d
x = torch.randn(1, 2, 5, 5, requires_grad=True)
depthwise_conv2d(x, torch.randn(2, 1, 3, 3), None, 1, 1).sum().backward()
"""
    ran = forked_run([sys.executable, "-c", again])
    assert ran.returncode == 0, ran.stderr


def test_the_switch_refuses_other_values(monkeypatch):
    monkeypatch.setenv("ROADMAP_DEPTHWISE", "fast")
    with pytest.raises(ValueError, match="ROADMAP_DEPTHWISE is 'fast': use own or torch"):
        ModernResNet(VARIANTS["convnext_tiny"])
