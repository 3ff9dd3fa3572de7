"""The depthwise operator against float64, its kernels compiled for this CPU, thread by thread."""

from __future__ import annotations

import ctypes
import re
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
from models.depthwise import compiled, depthwise_conv2d, plans

#: Runs a kernel's threads one after the other.
LOOP = """
extern "C" void run_{name}(long long threads, {parameters}) {{
  for (the_thread = 0; the_thread < threads; ++the_thread) {name}({names});
}}
"""
KERNEL = re.compile(r"KERNEL (\w+)\((.*?)\)", re.DOTALL)
TOLERANCE = {torch.float32: 1e-5, torch.bfloat16: 1e-2, torch.float16: 2e-3}


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

        def launch(self, threads: int, tensors: Sequence[Tensor], numbers: Sequence[int]) -> None:
            tensors[2].fill_(torch.nan)
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
    """Relative to the largest; sums of unit normals below 1 are what cancellation left."""
    assert found.shape == exact.shape
    return ((found.double() - exact).abs().max() / exact.abs().max().clamp(min=1)).item()


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
    assert error(plans.convolved(x, weight, bias, stride, padding), y.detach()) < limit
    by_x = plans.input_gradient(gradient, weight, height, width, stride, padding)
    assert error(by_x, exact[0]) < limit
    by_weight, by_bias = plans.weight_gradient(gradient, x, size, stride, padding)
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
    torch.library.opcheck(torch.ops.roadmap.depthwise_conv2d.default, (x, weight, bias, 2, 2))
    torch.library.opcheck(torch.ops.roadmap.depthwise_conv2d.default, (x, weight, None, 1, 2))


@pytest.mark.parametrize("capability", ["80", "90"])
def test_nvrtc_compiles_them(capability):
    """NVRTC needs no GPU; what it makes for one is not run here."""
    from torch.cuda import _utils

    try:
        _utils._get_gpu_rtc_library()
    except OSError:
        pytest.skip("this torch comes without NVRTC")
    for kernels in (
        plans.streaming(7, 96, 56, torch.bfloat16),
        plans.streaming(11, 97, 13, torch.float16),
        plans.tiled(31, 1, 96, 56, torch.bfloat16),
        plans.tiled(3, 2, 97, 13, torch.float32),
    ):
        for name, _ in KERNEL.findall(kernels.text):
            binary, _ = _utils._nvrtc_compile(kernels.text, name, capability, None, ["--std=c++17"])
            assert name.encode() in binary


def test_the_switch_refuses_other_values(monkeypatch):
    monkeypatch.setenv("ROADMAP_DEPTHWISE", "fast")
    with pytest.raises(ValueError, match="ROADMAP_DEPTHWISE is 'fast': use own or torch"):
        ModernResNet(VARIANTS["convnext_tiny"])
