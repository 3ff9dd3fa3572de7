"""Parameters cast to autocast's dtype together."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from models import VARIANTS, ModernResNet
from models.kernels import branch, casts
from models.kernels.casts import Parameters


def layers() -> nn.Sequential:
    net = nn.Sequential(nn.Conv2d(8, 8, 3, groups=8), nn.Conv2d(8, 16, 1), nn.LayerNorm(16))
    return net.to(memory_format=torch.channels_last)


def test_every_parameter_is_cast_to_its_present_values():
    net = layers()
    parameters = Parameters(net)
    for _ in range(2):
        found = parameters.cast(torch.bfloat16)
        for each in net.parameters():
            assert torch.equal(found[id(each)], each.detach().bfloat16())
            each.data.mul_(3)  # changes no version counter
    assert parameters.current


def test_others_than_float32_are_left_out():
    net = layers().half()
    assert Parameters(net).cast(torch.float16) == {}
    net.append(nn.Linear(4, 4))
    assert set(Parameters(net).cast(torch.float16)) == set(map(id, net[-1].parameters()))


@pytest.mark.parametrize("change", [lambda net: net.double(), lambda net: replace_data(net[0])])
def test_parameters_with_new_memory_are_not_current(change):
    net = layers()
    parameters = Parameters(net)
    change(net)
    assert not parameters.current


def replace_data(layer: nn.Module) -> None:
    layer.weight.data = layer.weight.data.clone()


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
