"""Parameters cast to autocast's dtype together."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from models import VARIANTS, ModernResNet
from models.kernels import branch, casts
from models.kernels.casts import Parameters, cast


def layers() -> nn.Sequential:
    net = nn.Sequential(nn.Conv2d(8, 8, 3, groups=8), nn.Conv2d(8, 16, 1), nn.LayerNorm(16))
    return net.to(memory_format=torch.channels_last)


def test_every_parameter_is_cast_to_its_present_values():
    net = layers()
    parameters = Parameters(net)
    for mode in (torch.inference_mode, torch.no_grad, torch.enable_grad) * 2:
        with mode():
            found = parameters.cast(torch.bfloat16)
        for each in net.parameters():
            assert torch.equal(found[id(each)].detach(), each.detach().bfloat16())
            each.data.mul_(3)  # changes no version counter


def test_only_parameters_that_learn_get_gradients():
    net = layers()
    net[1].requires_grad_(False)
    found = Parameters(net).cast(torch.bfloat16)
    assert all(found[id(each)].requires_grad == each.requires_grad for each in net.parameters())
    sum(found[id(each)].float().square().sum() for each in net[0].parameters()).backward()
    for each in net[0].parameters():
        assert each.grad.dtype == torch.float32
        assert torch.equal(each.grad, 2 * each.detach().bfloat16().float())
    assert net[2].weight.grad is None  # nobody used it


def test_a_second_derivative_passes_through():
    given = torch.randn(3, requires_grad=True)
    (found,) = cast([given], torch.float64)
    (first,) = torch.autograd.grad((found**3).sum(), given, create_graph=True)
    (second,) = torch.autograd.grad(first.sum(), given)
    assert torch.allclose(second, 6 * given)


def test_others_than_float32_are_left_out():
    net = layers().half()
    assert Parameters(net).cast(torch.float16) == {}
    net.append(nn.Linear(4, 4))
    assert set(Parameters(net).cast(torch.float16)) == set(map(id, net[-1].parameters()))


def replace_parameter(layer: nn.Module) -> None:
    layer.weight = nn.Parameter(2 * layer.weight.detach())


@pytest.fixture
def network() -> ModernResNet:
    torch.manual_seed(0)
    config = VARIANTS["convnext_tiny"].replace(depths=(1, 1), layer_scale=1.0)
    return ModernResNet(config).cuda().eval().to(memory_format=torch.channels_last)


def logits(network) -> torch.Tensor:
    torch.manual_seed(1)
    images = torch.randn(2, 3, 64, 64, device="cuda").to(memory_format=torch.channels_last)
    with torch.inference_mode(), torch.autocast("cuda", torch.bfloat16):
        return network(images)


@pytest.mark.cuda
def test_a_network_gives_the_same_and_follows_its_parameters(network, monkeypatch):
    made = []
    monkeypatch.setattr(branch, "_alone", lambda *_: False)  # sums in operators round once less
    monkeypatch.setattr(
        branch.casts, "Parameters", lambda *given: made.append(1) or Parameters(*given)
    )
    for change in (
        lambda: None,
        lambda: network.stages[0].blocks[0].branch.conv2.weight.data.mul_(1.5),
        lambda: replace_parameter(network.stages[1].blocks[0].branch.conv2),
        lambda: network.double().float(),
    ):
        if made:
            change()
        found = logits(network)
        with monkeypatch.context() as alone:
            alone.setattr(casts, "useful", lambda _: False)
            assert torch.equal(logits(network), found)
    assert len(made) == 2


@pytest.mark.cuda
def test_layers_that_leave_autocast_get_their_parameters_as_they_are(network):
    inner = network.stages[1].blocks[0].branch

    class Precise(nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = inner

        def forward(self, x):
            with torch.autocast("cuda", enabled=False):
                return self.inner(x.float())

    network.stages[1].blocks[0].branch = Precise()
    assert logits(network).isfinite().all()
