"""Branches in inference as straight lines of operators, on a CPU that acts as a GPU."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from as_cuda import act, autocast
from torch import Tensor, nn

from models import VARIANTS, ModernResNet
from models.kernels import branch, casts, lines
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
    found, run = [], lines._run
    monkeypatch.setattr(lines, "_run", lambda steps, x: found.append(steps) or run(steps, x))
    return found


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


@pytest.mark.parametrize("most", [0, lines.MOST_IN_FULL])
@pytest.mark.parametrize("name", STEPS)
def test_in_float32_lines_give_the_same_without_autocast(name, most, monkeypatch, called):
    monkeypatch.setattr(lines, "MOST_IN_FULL", most)
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
    scale = network.stages[1].blocks[0].branch.scale
    scale.gamma.data = 3 * scale.gamma.data


def replaced_parameter(network, name="conv2") -> None:
    conv = getattr(network.stages[0].blocks[0].branch, name)
    conv.weight = nn.Parameter(2 * conv.weight.detach())


def replaced_layer(network) -> None:
    network.stages[0].blocks[0].branch.act1 = nn.Tanh()


@pytest.mark.parametrize("change", [scaled, moved, replaced_parameter, replaced_layer])
def test_lines_follow_the_network(change: Callable, network, monkeypatch):
    before = logits(network)
    change(network)
    after = logits(network)
    assert not torch.equal(before, after)
    assert torch.equal(after, apart(network, monkeypatch))


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


def test_with_gradients_there_are_no_lines(network, called):
    with autocast():
        network(images()).sum().backward()
    assert not called
    assert all(parameter.grad is not None for parameter in network.parameters())


@pytest.mark.parametrize("change", [lambda net: net.train(), lambda net: net.to("cpu")])
def test_what_is_kept_goes_when_the_network_trains_or_moves(network, change):
    logits(network)
    assert network.stages in branch._parameters
    change(network)
    assert network.stages not in branch._parameters
