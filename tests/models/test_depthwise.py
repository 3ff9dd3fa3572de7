"""The depthwise operator against float64, its kernels compiled for this CPU, thread by thread."""

from __future__ import annotations

import ctypes
import shutil
import subprocess
from collections.abc import Sequence
from functools import cache

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from models import VARIANTS, ModernResNet
from models.depthwise import compiled, depthwise_conv2d, operator

#: Runs a kernel's threads one after the other.
LOOP = """
#define SIZES int n, int h, int wide, int out_h, int out_w, int pad
#define GIVEN n, h, wide, out_h, out_w, pad
#define RUN(name, ...) \\
  extern "C" void run_##name(long long threads, __VA_ARGS__) { \\
    for (the_thread = 0; the_thread < threads; ++the_thread)
RUN(convolve, const Scalar* x, const float* w, Scalar* y, SIZES)
  convolve(x, w, y, GIVEN); }
RUN(input_gradient, const Scalar* dy, const float* w, Scalar* dx, SIZES)
  input_gradient(dy, w, dx, GIVEN); }
RUN(weight_gradient, const Scalar* x, const Scalar* dy, float* partial, SIZES, int splits)
  weight_gradient(x, dy, partial, GIVEN, splits); }
"""
TOLERANCE = {torch.float32: 1e-5, torch.bfloat16: 1e-2, torch.float16: 2e-3}


@pytest.fixture(scope="module")
def on_host(tmp_path_factory):
    """Launches go to the CPU; what they write is poisoned before."""
    if not shutil.which("g++"):
        pytest.skip("no C++ compiler")
    folder = tmp_path_factory.mktemp("kernels")

    @cache
    def library(kind: compiled.Variant) -> ctypes.CDLL:
        place = folder / f"{abs(hash(kind))}"
        place.with_suffix(".cpp").write_text(kind.source + LOOP)
        command = ["g++", "-std=c++17", "-O1", "-w", "-shared", "-fPIC", "-fwrapv"]
        subprocess.run(
            [*command, "-o", place.with_suffix(".so"), place.with_suffix(".cpp")], check=True
        )
        return ctypes.CDLL(str(place.with_suffix(".so")))

    def launch(name: str, kind: compiled.Variant, threads: int, arguments: Sequence) -> None:
        written = next(a for a in arguments[2:] if isinstance(a, Tensor))
        written.fill_(torch.nan)
        blocks = -(-threads // kind.THREADS)
        values = [
            ctypes.c_void_p(a.data_ptr()) if isinstance(a, Tensor) else ctypes.c_int(a)
            for a in arguments
        ]
        run = getattr(library(kind), f"run_{name}")
        run(ctypes.c_longlong(blocks * kind.THREADS), *values)

    patch = pytest.MonkeyPatch()
    patch.setattr(compiled, "launch", launch)
    yield
    patch.undo()


@st.composite
def problems(draw):
    """Sizes that divide no tile, kernels larger than the image, any stride and padding."""
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
    )


def error(found: Tensor, exact: Tensor) -> float:
    assert found.shape == exact.shape
    return ((found.double() - exact).abs().max() / exact.abs().max().clamp(min=1e-30)).item()


@pytest.mark.usefixtures("on_host")
@settings(max_examples=60)
@given(problems(), st.integers(0, 2**31))
def test_kernels_are_exact(problem, seed):
    size, stride, padding, batch, channels, height, width, dtype = problem
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
    limit = TOLERANCE[dtype]
    assert error(operator.convolved(x, weight, bias, stride, padding), y.detach()) < limit
    by_x = operator.input_gradient(gradient, weight, height, width, stride, padding)
    assert error(by_x, exact[0]) < limit
    by_weight, by_bias = operator.weight_gradient(gradient, x, size, stride, padding)
    assert error(by_weight, exact[1]) < 1e-5
    assert error(by_bias, exact[2]) < 1e-5


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize(("stride", "padding"), [(1, 1), (2, 1), (1, 0), (2, 2)])
def test_gradients_in_double_precision(stride, padding, bias):
    x = torch.randn(2, 3, 7, 6, dtype=torch.float64, requires_grad=True)
    weight = torch.randn(3, 1, 3, 3, dtype=torch.float64, requires_grad=True)
    offset = torch.randn(3, dtype=torch.float64, requires_grad=True) if bias else None
    assert torch.autograd.gradcheck(
        lambda *tensors: (
            depthwise_conv2d(*tensors, None, stride, padding)
            if len(tensors) == 2
            else depthwise_conv2d(*tensors, stride, padding)
        ),
        (x, weight, offset) if bias else (x, weight),
    )


def test_torch_sees_an_ordinary_operator():
    x = torch.randn(2, 4, 9, 9, requires_grad=True)
    weight = torch.randn(4, 1, 5, 5, requires_grad=True)
    bias = torch.randn(4, requires_grad=True)
    torch.library.opcheck(depthwise_conv2d, (x, weight, bias, 2, 2))
    torch.library.opcheck(depthwise_conv2d, (x, weight, None, 1, 2))


@pytest.mark.parametrize(("size", "capability"), [(7, "90"), (31, "80")])
def test_nvrtc_compiles_them(size, capability):
    """NVRTC needs no GPU; what it makes for one is not run here."""
    from torch.cuda import _utils

    try:
        _utils._get_gpu_rtc_library()
    except OSError:
        pytest.skip("this torch comes without NVRTC")
    kind = compiled.variant(size, 1, 96, 56, torch.bfloat16)
    for name in ("convolve", "input_gradient", "weight_gradient"):
        binary, _ = _utils._nvrtc_compile(kind.source, name, capability, None, ["--std=c++17"])
        assert name.encode() in binary


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs CUDA")
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


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs CUDA")
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


def test_the_switch_refuses_other_values(monkeypatch):
    monkeypatch.setenv("ROADMAP_DEPTHWISE", "fast")
    with pytest.raises(ValueError, match="ROADMAP_DEPTHWISE is 'fast': use torch or own"):
        ModernResNet(VARIANTS["convnext_tiny"])
