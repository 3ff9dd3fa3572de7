"""Branches in inference as straight lines of operators, on a CPU that acts as a GPU."""

from __future__ import annotations

import copy
import gc
import io
import weakref
from collections import OrderedDict
from collections.abc import Callable
from contextlib import nullcontext
from typing import Any

import pytest
import torch
from as_cuda import act, autocast
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.nn.utils import parametrize, prune
from torchvision.ops import StochasticDepth

from models import VARIANTS, ModernResNet
from models.kernels import casts, lines, pointwise
from models.kernels.depthwise import DepthwiseConv2d
from models.kernels.mlp import operators
from models.kernels.pointwise import PointwiseConv2d
from roadmap import ROADMAPS


@pytest.fixture(autouse=True)
def _as_cuda(monkeypatch):
    act(monkeypatch)


def built(config) -> ModernResNet:
    torch.manual_seed(0)
    net = ModernResNet(config.replace(depths=(1, 2), width=16, num_classes=5)).eval()
    for parameter in net.parameters():
        parameter.data += 0.1 * torch.randn_like(parameter)
    return net.to(memory_format=torch.channels_last)


@pytest.fixture
def network() -> ModernResNet:
    return built(VARIANTS["convnext_tiny"].replace(layer_scale=1.0))


def images() -> Tensor:
    torch.manual_seed(1)
    return torch.randn(2, 3, 32, 32).to(memory_format=torch.channels_last)


def logits(network: nn.Module, **options) -> Tensor:
    with torch.inference_mode(), autocast(**options):
        return network(images()).clone()


def apart(network: nn.Module, monkeypatch, **options) -> Tensor:
    """Return the logits without parameters cast together, thus without lines."""
    with monkeypatch.context() as alone:
        alone.setattr(casts, "useful", lambda _: False)
        return logits(network, **options)


@pytest.fixture
def called(monkeypatch) -> list[object]:
    """The lines that are called."""
    found: list[object] = []
    for kind in (lines.Line, lines.FullLine):
        for name in ("__call__", "added"):
            monkeypatch.setattr(kind, name, counted(getattr(kind, name), found))
    return found


def counted(run: Callable, found: list[object]) -> Callable:
    return lambda line, *given: found.append(line) or run(line, *given)


STEPS = {"ConvNeXt": VARIANTS["convnext_tiny"], "V2": VARIANTS["convnextv2_tiny"]} | {
    step: ROADMAPS["resnet50"].config(step)
    for step in ("training", "increase_width", "kernel_7", "fewer_norms")
}


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("name", STEPS)
def test_lines_give_what_the_layers_give(name, dtype, monkeypatch, called):
    network = built(STEPS[name])
    expected = apart(network, monkeypatch, dtype=dtype)
    assert not called
    for _ in range(2):
        assert torch.equal(logits(network, dtype=dtype), expected)
    assert len(called) == 2 * 3


@pytest.mark.parametrize("most", [0, pointwise.MOST_IN_FULL])
@pytest.mark.parametrize("name", STEPS)
def test_in_float32_lines_give_the_same_without_autocast(name, most, monkeypatch, called):
    monkeypatch.setattr(pointwise, "MOST_IN_FULL", most)
    network = built(STEPS[name])
    expected = network(images())  # with gradients
    assert not called
    same = torch.allclose if most else torch.equal
    with torch.inference_mode():
        assert same(network(images()), expected)
    assert len(called) == 3
    scaled(network)
    replaced_parameter(network, "conv1")
    with torch.inference_mode():
        changed = network(images())
    assert same(network(images()), changed)
    assert not same(changed, expected)


def scaled(network) -> None:
    for parameter in network.parameters():
        parameter.data.mul_(1.5)  # changes no version counter


def moved(network) -> None:
    branch = network.stages[1].blocks[0].branch
    for parameter in (branch.scale.gamma, branch.conv2.weight):
        parameter.data = 3 * parameter.data


def replaced_parameter(network, name="conv2") -> None:
    conv = getattr(network.stages[0].blocks[0].branch, name)
    conv.weight = nn.Parameter(2 * conv.weight.detach())


def replaced_layer(network) -> None:
    network.stages[0].blocks[0].branch.act2 = nn.Tanh()


def branch_of(network) -> Any:
    return network.stages[0].blocks[0].branch


class Doubled(nn.Module):
    def forward(self, weight: Tensor) -> Tensor:
        return 2 * weight


def parametrized(network) -> None:
    parametrize.register_parametrization(branch_of(network).conv2, "weight", Doubled())


def pruned(network) -> None:
    prune.l1_unstructured(branch_of(network).conv2, "weight", 0.5)


def shared(network) -> None:
    first, second = network.stages[1].blocks
    second.branch.conv1.weight = first.branch.conv1.weight
    network.eval()  # parameters are collected again


class Twice(PointwiseConv2d):
    def forward(self, x: Tensor) -> Tensor:
        return 2 * super().forward(x)


def subclassed(network) -> None:
    branch = branch_of(network)
    twice = Twice(16, 64, 1).to(memory_format=torch.channels_last)
    twice.load_state_dict(branch.conv2.state_dict())
    branch.conv2 = twice


def no_parameter(network) -> None:
    conv = branch_of(network).conv1
    weight = conv.weight.detach()
    del conv.weight
    conv.weight = weight
    inference(network)
    conv.weight = 2 * weight


def other_gelu(network) -> None:
    for block in network.stages[1].blocks:
        block.branch.act2.approximate = "tanh"


def dilated(network) -> None:
    conv = branch_of(network).conv1
    conv.dilation, conv.padding, conv.own = (2, 2), (6, 6), False


def other_forward(network) -> None:
    norm = branch_of(network).norm1
    forward = norm.forward
    norm.forward = lambda x: 2 * forward(x)


def other_hooks(network) -> None:
    norm = branch_of(network).norm1
    norm._forward_hooks = OrderedDict()
    inference(network)
    norm.register_forward_hook(lambda *given: 2 * given[-1])


def inference(network) -> Tensor:
    """Return the logits in float32, after those under autocast."""
    logits(network)
    with torch.inference_mode():
        return network(images())


CHANGES = [scaled, moved, replaced_parameter, replaced_layer, parametrized, pruned, shared]
CHANGES += [subclassed, no_parameter, other_gelu, dilated, other_forward, other_hooks]


@pytest.mark.parametrize("change", CHANGES)
def test_lines_follow_the_network(change: Callable, network, monkeypatch):
    before = logits(network)
    change(network)
    after = [logits(network) for _ in range(2)]
    assert not torch.equal(before, after[0])
    expected = apart(network, monkeypatch)
    assert all(torch.equal(each, expected) for each in after)


@pytest.mark.parametrize("most", [0, pointwise.MOST_IN_FULL])
@pytest.mark.parametrize("change", CHANGES)
def test_in_float32_lines_follow_the_network(change: Callable, most, network, monkeypatch):
    monkeypatch.setattr(pointwise, "MOST_IN_FULL", most)
    before = inference(network)
    change(network)
    after = inference(network)
    assert not torch.equal(before, after)
    assert torch.allclose(after, network(images()), rtol=1e-4, atol=1e-5)  # with gradients


def test_a_line_leaves_autocast_as_it_was(network, monkeypatch):
    conv = branch_of(network).conv1
    conv.padding_mode, conv.own = "circular", False
    seen, call = [], DepthwiseConv2d._conv_forward
    monkeypatch.setattr(
        DepthwiseConv2d,
        "_conv_forward",
        lambda *given: seen.append(torch.is_autocast_enabled("cuda")) or call(*given),
    )
    inference(network)
    assert seen == [True, False]
    branch_of(network).norm1 = nn.Bilinear(1, 1, 1)  # fails
    with torch.no_grad(), autocast():
        with pytest.raises(TypeError):
            network(images())
        assert torch.is_autocast_enabled("cuda")


class Wide(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x.float()


class Contiguous(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x.contiguous()


@pytest.mark.parametrize("layer", [Wide, Contiguous])
def test_other_layers_may_change_dtype_and_format(layer, network, monkeypatch):
    branch_of(network).norm1 = layer()
    run = operators.linear_gelu

    def checked(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        assert x.dtype == weight.dtype == bias.dtype
        return run(x, weight, bias)

    monkeypatch.setattr(operators, "linear_gelu", checked)
    found = [logits(network) for _ in range(2)]
    expected = apart(network, monkeypatch)
    assert all(torch.equal(each, expected) for each in found)


class Learning(nn.Module):
    def __init__(self, inner: nn.Module):
        super().__init__()
        self.inner = inner

    def forward(self, x: Tensor) -> Tensor:
        with torch.enable_grad():
            self.out = self.inner(x)
        return self.out.detach()


def test_gradients_may_be_enabled_in_a_pass_without(network):
    block = network.stages[0].blocks[0]
    block.branch = Learning(block.branch)
    with torch.no_grad(), autocast():
        network(images())
    block.branch.out.float().sum().backward()
    assert all(parameter.grad is not None for parameter in block.branch.parameters())


def test_transforms_of_torch_func_and_modes_leave_nothing_behind(network):
    expected = inference(network)
    parameters = {name: each.detach() for name, each in network.named_parameters()}
    twice = {name: torch.stack([each, each]) for name, each in parameters.items()}

    def call(given: dict[str, Tensor]) -> Tensor:
        return torch.func.functional_call(network, given, (images(),))

    with torch.no_grad():
        both = torch.func.vmap(call, randomness="same")(twice)
        with autocast():
            torch.func.vmap(call, randomness="same")(twice)
    assert torch.allclose(both, expected.clone(), rtol=1e-4, atol=1e-5)
    with autocast():
        found = torch.func.grad(lambda given: call(given).float().square().sum())(parameters)
    assert found.keys() == parameters.keys()
    with torch.no_grad(), FakeTensorMode(allow_non_fake_inputs=True):
        network.eval()
        with autocast():
            network(images())
        network(images())
    assert torch.equal(inference(network), expected)


def test_a_layer_with_a_hook_is_called_and_its_neighbors_stay_lines(network, called):
    expected = logits(network)
    called.clear()
    seen = []
    layer = network.stages[0].blocks[0].branch.norm1
    handle = layer.register_forward_hook(lambda *_: seen.append(1))
    assert torch.equal(logits(network), expected)
    assert (len(seen), len(called)) == (1, 2)
    handle.remove()
    logits(network)
    assert (len(seen), len(called)) == (1, 5)


@pytest.mark.parametrize("part", ["branch", "drop_path"])
def test_hooks_between_branch_and_sum_see_what_they_saw(part, network):
    """The sum is not part of the branch's last operator then."""
    seen: list[Tensor] = []
    block = network.stages[0].blocks[0]
    block.shortcut.register_forward_hook(lambda *given: seen.append(given[-1]))
    getattr(block, part).register_forward_hook(lambda *given: seen.append(given[-1]))
    block.activation.register_forward_hook(lambda *given: seen.append(given[-1]))
    for enabled in (True, False):
        seen.clear()
        with torch.inference_mode(), autocast() if enabled else nullcontext():
            network(images())
        shortcut, branch, out = seen
        assert torch.equal(shortcut + branch, out)


def test_a_branch_that_is_dropped_in_training_is_part_of_the_sum_in_inference(monkeypatch, called):
    network = built(VARIANTS["convnext_tiny"].replace(layer_scale=1.0, stochastic_depth=0.5))
    dropped, forward = [], StochasticDepth.forward
    monkeypatch.setattr(
        StochasticDepth, "forward", lambda *given: dropped.append(1) or forward(*given)
    )
    with torch.inference_mode():
        network(images())
        assert (len(called), len(dropped)) == (3, 0)
        network.train()
        network(images())
    assert len(dropped) > 0


def test_with_gradients_there_are_no_lines(network, called):
    with autocast():
        network(images()).sum().backward()
    assert not called
    assert all(parameter.grad is not None for parameter in network.parameters())


@pytest.mark.parametrize("change", [lambda net: net.train(), lambda net: net.to("cpu")])
def test_what_is_kept_goes_when_the_network_trains_or_moves(network, change):
    logits(network)
    assert network.stages.remembered is not None
    change(network)
    assert network.stages.remembered is None


def test_replaced_parameters_are_freed(network):
    for _ in range(2):
        inference(network)
    before = [weakref.ref(parameter) for parameter in network.stages.parameters()]
    network.load_state_dict(network.state_dict(), assign=True)
    for _ in range(2):
        inference(network)
    gc.collect()
    assert [each() for each in before] == [None] * len(before)


def test_a_network_is_freed_even_if_a_hook_of_a_layer_knows_it(network):
    class Watch:
        def __init__(self, network: nn.Module):
            self.network = network
            branch_of(network).norm1.register_forward_hook(self.hook)

        def hook(self, *_: object) -> None:
            pass

    network = built(network.config)
    Watch(network)
    inference(network)
    before = weakref.ref(network)
    del network
    gc.collect()
    assert before() is None


def test_copies_and_files_have_the_network_alone(network):
    expected = inference(network)
    file = io.BytesIO()
    torch.save(network, file)
    loaded = torch.load(io.BytesIO(file.getvalue()), weights_only=False)
    scripted = torch.jit.script(network)
    assert torch.allclose(inference(scripted), expected, rtol=1e-4, atol=1e-5)
    for other in (loaded, copy.deepcopy(network)):
        assert torch.equal(inference(other), expected)
        scaled(other)
        assert not torch.equal(inference(other), expected)
    assert torch.equal(inference(network), expected)
    for module in copy.deepcopy(network).modules():
        assert getattr(module, "remembered", None) is None
