"""The arithmetic behind the operations, compared with torch and with whole networks."""

from __future__ import annotations

import json
from itertools import pairwise

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from models.spec import Activation, Conv, Norm, network_spec, placed_layers
from roadmap.measure.complexity import count
from roadmap.steps import ROADMAPS
from roadmap.views.operations import data, tab

RESNET50 = ROADMAPS["resnet50"]
NETWORKS = [roadmap for roadmap in ROADMAPS.values() if roadmap.changes_networks]
BRINGING = [
    (roadmap, key, name)
    for roadmap in NETWORKS
    for key in roadmap.keys
    if roadmap.previous(key)
    for name in data.brought(*tab._networks(roadmap, key))
]


def of(key: str, name: str, roadmap=RESNET50):
    before, after = tab._networks(roadmap, key)
    return data.OPERATIONS[name][2](before, after)


def block_macs(config, stage: int = 0) -> list[int]:
    """Of the convolutions of the last block of a stage, in the whole network."""
    path = f"stages.{stage}.blocks.{config.depths[stage] - 1}.branch."
    placed = placed_layers(network_spec(config), 224)
    return [p.macs for p in placed if p.path.startswith(path) and isinstance(p.layer, Conv)]


@pytest.mark.parametrize(("roadmap", "key", "name"), BRINGING)
def test_every_operation_of_every_step_is_json(roadmap, key, name):
    assert json.loads(json.dumps(of(key, name, roadmap)))


def test_every_operation_is_brought_by_a_step():
    assert {name for *_, name in BRINGING} == set(data.OPERATIONS)
    assert data.brought(None, RESNET50.start) == []
    assert set(data.SHOWN_BY.values()) == set(data.OPERATIONS)


def test_the_toy_convolution_costs_what_its_kernels_multiply():
    shown = of("depthwise_conv", "convolution")
    weights = torch.tensor(shown["weights"], dtype=torch.float)
    for kind in shown["kinds"]:
        per = weights.shape[1] // kind["groups"]
        assert kind["macs"] == weights.numel() * per / weights.shape[1]
        assert F.conv2d(
            torch.tensor(shown["input"], dtype=torch.float)[None],
            weights[:, :per],
            groups=kind["groups"],
        ).shape == (1, 4, 4, 4)


def test_the_full_size_costs_are_those_of_the_networks():
    shown = of("depthwise_conv", "convolution")
    first, *_, last = shown["kinds"]
    assert first["full"] == block_macs(RESNET50.config("patchify_stem"))[1]
    assert last["full"] == block_macs(RESNET50.config("depthwise_conv"))[1]


@pytest.mark.parametrize("roadmap", NETWORKS, ids=lambda each: each.name)
def test_both_ends_of_the_handle_are_the_blocks_of_the_step(roadmap):
    shown = of("inverted_bottleneck", "bottleneck", roadmap)
    before, after = tab._networks(roadmap, "inverted_bottleneck")
    for row, config in ((shown["before"], before), (shown["after"], after)):
        assert shown["rows"][row]["macs"] == block_macs(config)
        assert shown["rows"][row]["ends"] == config.output_width(0)
        assert shown["rows"][row]["middle"] == config.inner_width(0)
    assert all(a["ends"] >= b["ends"] for a, b in pairwise(shown["rows"]))


@pytest.mark.parametrize("key", ["move_up_depthwise", "kernel_7", "kernel_11"])
def test_kernel_sizes_cost_what_the_networks_cost(key):
    shown = of(key, "kernel")
    for name, config in zip(("before", "after"), tab._networks(RESNET50, key), strict=True):
        if config.depthwise_position == "first":
            row = shown["rows"][shown[name]]
            assert row["network"] == count(config).macs
            assert [layer["macs"] for layer in row["layers"]] == block_macs(config)
            assert row["effective"]["50"] < row["fields"][-1]["size"]


@pytest.mark.parametrize("roadmap", NETWORKS, ids=lambda each: each.name)
def test_blocks_moved_between_stages_cost_what_such_a_network_costs(roadmap):
    shown = of("stage_ratio", "stages", roadmap)
    config = roadmap.config("stage_ratio")
    for depths in (config.depths, (1, 5, 2, 4)):
        counted = count(config.replace(depths=depths))
        for which, whole in enumerate((counted.macs, counted.parameters)):
            parts = [
                part["first"][which] + (depth - 1) * part["other"][which]
                for part, depth in zip(shown["parts"], depths, strict=True)
            ]
            assert sum(parts) + shown["outside"][which] == whole
    assert [part["size"] for part in shown["parts"]] == [56, 28, 14, 7]


def test_gelu_and_its_slope_are_torchs():
    shown = of("gelu", "activation")
    x = torch.tensor(shown["inputs"], dtype=torch.float64, requires_grad=True)
    for name, function in (("gelu", F.gelu), ("relu", F.relu)):
        y = function(x)
        (slope,) = torch.autograd.grad(y.sum(), x)
        expected = torch.stack([y.detach(), slope], 1)
        torch.testing.assert_close(torch.tensor(shown[name], dtype=torch.float64), expected)


@pytest.mark.parametrize("kind", [Norm, Activation])
@pytest.mark.parametrize("key", RESNET50.keys)
def test_norms_and_activations_are_counted_as_torch_would_find_them(kind, key):
    from models import ModernResNet
    from models.network import NORMS

    with torch.device("meta"):
        network = ModernResNet(RESNET50.config(key))
    wanted = tuple(NORMS.values()) if kind is Norm else (nn.ReLU, nn.GELU)
    found = sum(isinstance(module, wanted) for module in network.modules())
    assert data._layers_of(RESNET50.config(key), kind)["network"] == found


def test_the_stems_are_those_of_the_networks():
    resnet, patchify = of("patchify_stem", "stem")["stems"]
    assert (resnet["size"], resnet["stride"]) == (11, 4)  # 7, then 3 positions 2 pixels apart
    assert (patchify["size"], patchify["stride"]) == (4, 4)
    for stem, config in zip(
        (resnet, patchify), tab._networks(RESNET50, "patchify_stem"), strict=True
    ):
        modules = [m for m in count(config).modules if m.path.startswith("stem.")]
        assert stem["macs"] == sum(m.macs for m in modules)
        assert stem["params"] == sum(m.parameters for m in modules)


def test_the_downsampling_is_that_of_the_network():
    shown = of("separate_downsampling", "downsampling")
    assert shown["layers"] == [[], *[["layer norm", "2×2"]] * 3]
    assert shown["norms"] == 5  # as in the paper: after the stem, three, after pooling
