"""Counts are the paper's, and three ways of counting agree."""

import csv
from pathlib import Path

import pytest
import timm
import torch
from each_once import STEPS, each_once
from hypothesis import given, settings
from strategies import configs
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from models import VARIANTS, ModelConfig, ModernResNet
from models.variants import TIMM_NAMES
from roadmap import ROADMAPS
from roadmap.measure.complexity import count, totals, trace

RESULTS = Path(__file__).parents[2] / "results"


def table(name):
    with (RESULTS / f"{name}.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def torch_macs(network, in_channels, size=224):
    """Multiply-adds of convolutions and linear layers by torch's own counter, on meta tensors.

    What batch norm does with them, which is not counted, would take half of the time.
    """
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.forward = lambda x: x
    counter = FlopCounterMode(display=False)
    with counter:
        network.eval()(torch.empty(1, in_channels, size, size, device="meta"))
    return counter.get_total_flops() // 2


@pytest.mark.parametrize("row", table("paper/resnet50_counts"), ids=lambda row: row["key"])
def test_resnet50_counts_are_exact(row):
    cost = count(ROADMAPS["resnet50"].config(row["key"]))
    assert cost.parameters == int(row["params"])
    assert cost.macs == int(row["conv_linear_macs_224"])


def test_resnet200_gflops_are_the_papers():
    printed = {
        row["key"]: row["gflops"]
        for row in table("paper/paper_roadmap")
        if row["roadmap"] == "resnet200" and row["key"] != "swin"
    }
    assert len(printed) == 17
    for key, gflops in printed.items():
        assert f"{count(ROADMAPS['resnet200'].config(key)).macs / 1e9:.2f}" == gflops, key


@pytest.mark.parametrize("config", each_once(STEPS.items(), lambda c: c.replace(init="default")))
def test_torchs_counter_agrees_on_every_step(config):
    with torch.device("meta"):
        network = ModernResNet(config)
    assert torch_macs(network, 3) == count(config).macs
    assert sum(p.numel() for p in network.parameters()) == count(config).parameters


@pytest.mark.parametrize("name", VARIANTS)
def test_variants_cost_what_their_timm_twins_cost(name):
    with torch.device("meta"):
        twin = timm.create_model(TIMM_NAMES[name], pretrained=False)
    assert sum(p.numel() for p in twin.parameters()) == count(VARIANTS[name]).parameters
    assert torch_macs(twin, 3) == count(VARIANTS[name]).macs


@pytest.mark.parametrize("key", ["baseline", "inverted_bottleneck", "separate_downsampling"])
def test_fvcore_agrees_module_by_module(key):
    config = ROADMAPS["resnet50"].config(key)
    counted, traced = count(config, 64), trace(ModernResNet(config), 64)
    assert (traced.parameters, traced.macs, traced.activations) == (
        counted.parameters,
        counted.macs,
        counted.activations,
    )
    for module in counted.modules:
        assert traced.macs_of(module.path) == module.macs, module.path
        assert traced.parameters_by_module.get(module.path, 0) == module.parameters, module.path
        assert traced.activations_by_module.get(module.path, 0) == module.activations


def test_committed_table_holds_what_is_counted_now():
    rows = {(row["source"], row["name"]): row for row in table("measured/complexity")}
    expected = {tuple(name.split("-")): config for name, config in STEPS.items()}
    expected |= {("variant", name): config for name, config in VARIANTS.items()}
    swin = {("timm", f"swin_{size}_patch4_window7_224") for size in ("tiny", "base")}
    others = {("timm", f"convnextv2_{size}") for size in ("tiny", "base")}
    assert set(rows) == set(expected) | swin | others
    for place, config in expected.items():
        cost, row = count(config), rows[place]
        assert (int(row["params"]), int(row["macs"]), int(row["activations"])) == (
            cost.parameters,
            cost.macs,
            cost.activations,
        )
        assert int(row["macs"]) == int(row["conv"]) + int(row["linear"])
    assert [f"{int(rows[place]['macs']) / 1e9:.2f}" for place in sorted(swin)] == ["15.43", "4.49"]


@settings(max_examples=60)
@given(configs())
def test_any_config_is_counted_as_torch_counts_it(config):
    with torch.device("meta"):
        network = ModernResNet(config)
    cost = count(config, 64)
    assert cost.parameters == sum(p.numel() for p in network.parameters())
    assert cost.macs == torch_macs(network, config.in_channels, 64)
    assert totals(config, 64) == (cost.macs, cost.parameters)


def test_an_image_too_small_is_refused():
    with pytest.raises(ValueError, match=r"too small.*stages\.3\.downsample\.conv"):
        count(VARIANTS["convnext_tiny"], 16)


def test_a_network_of_any_size_is_counted_without_allocating_it():
    assert count(ModelConfig(width=8192, depths=(200, 200, 200, 200))).parameters > 1e12
