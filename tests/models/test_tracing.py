"""``torch.fx`` traces every network, ``torch.jit`` compiles it, and both compute the same."""

import sys
from importlib.util import module_from_spec, spec_from_file_location

import pytest
import timm
import torch
from each_once import STEPS_AND_VARIANTS, each_once
from timm.models import create_feature_extractor as timms_extractor
from torch import fx
from torchvision.models.feature_extraction import create_feature_extractor

import roadmap.timm_models  # noqa: F401 - names of the last test
from models import ModelConfig, ModernResNet
from models.source import network_source
from roadmap import ROADMAPS
from roadmap.export.check import fill

LAYER_NORM = ROADMAPS["resnet50"].config("layer_norm")
GRN = ROADMAPS["resnet50"].config("global_response_norm")


def small(config: ModelConfig) -> ModelConfig:
    """A block or two of each stage; narrow where groups allow it, so with narrow convolutions."""
    width = config.width if config.group_width is not None or config.groups > 1 else 8
    return config.replace(depths=(1, 2, 1, 1), width=width, num_classes=5)


@pytest.mark.parametrize("config", each_once(STEPS_AND_VARIANTS.items(), small))
def test_traced_networks_compute_the_same(config):
    network = fill(ModernResNet(config).eval())
    images = torch.randn(2, 3, 64, 64)
    places = {"stages.1.blocks.0": "block", "stages.3": "stage", "head": "logits"}
    with torch.no_grad():
        logits, features = network(images), network.forward_features(images)
        assert torch.equal(fx.symbolic_trace(network)(images), logits)
        found = create_feature_extractor(network, places)(images)
    assert found.keys() == set(places.values())
    assert torch.equal(found["stage"], features)
    assert torch.equal(found["logits"], logits)
    assert found["block"].shape[1:] == (network.config.output_width(1), 8, 8)


@pytest.mark.parametrize(
    "key", ["baseline", "inverted_bottleneck", "kernel_7", "layer_norm", "global_response_norm"]
)
def test_networks_and_what_is_traced_of_them_are_scripted(key, tmp_path):
    config = small(ROADMAPS["resnet50"].config(key, layer_scale=0.5, stochastic_depth=0.1))
    network = fill(ModernResNet(config.replace(depths=(1, 1))).eval())
    images = torch.randn(2, 3, 32, 32)
    with torch.no_grad():
        logits = network(images)
        for module in (network, fx.symbolic_trace(network)):
            torch.jit.script(module).save(tmp_path / "network.pt")
            script = torch.jit.load(tmp_path / "network.pt")
            torch.testing.assert_close(script(images), logits)


@pytest.mark.parametrize("config", each_once(STEPS_AND_VARIANTS.items()))
def test_every_full_size_is_traced(config):
    with torch.device("meta"):
        network = ModernResNet(config)
    nodes = {str(node.target) for node in fx.symbolic_trace(network).graph.nodes}
    layers = {node.removesuffix(".weight") for node in nodes}  # ours are traced through
    blocks = {name for name, _ in network.named_modules() if name.endswith("branch.conv1")}
    assert len(blocks) == sum(network.config.depths)
    assert blocks <= layers


@pytest.mark.parametrize("config", [LAYER_NORM, GRN], ids=["layer_norm", "grn"])
def test_traced_training_is_the_same_under_autocast_too(config):
    network = fill(ModernResNet(small(config))).train()
    traced = fx.symbolic_trace(network)
    images = torch.randn(4, 3, 64, 64)
    for enabled in (False, True):
        results = []
        for module in (network, traced):
            module.zero_grad()
            with torch.autocast("cpu", torch.bfloat16, enabled=enabled):
                output = module(images)
            output.float().square().sum().backward()
            gradients = {name: each.grad.clone() for name, each in module.named_parameters()}
            results.append(gradients | {"output": output})
        ours, theirs = results
        assert ours.keys() == theirs.keys()
        assert all(torch.equal(ours[name], theirs[name]) for name in ours)


def test_double_precision_stays_double():
    network = fill(ModernResNet(small(GRN)).double().eval())
    images = torch.randn(2, 3, 64, 64, dtype=torch.float64)
    traced = fx.symbolic_trace(network)(images)
    assert traced.dtype == torch.float64
    assert torch.equal(traced, network(images))


def test_a_traced_network_can_be_exported_and_compiled():
    network = fill(ModernResNet(small(GRN)).eval())
    traced = fx.symbolic_trace(network)
    images = torch.randn(2, 3, 64, 64)
    with torch.no_grad():
        wanted = network(images)
        program = torch.export.export(traced, (images,), strict=False).module()
        torch.testing.assert_close(program(images), wanted)
        compiled = torch.compile(traced, backend="aot_eager", fullgraph=True)
        torch.testing.assert_close(compiled(images), wanted)


@pytest.mark.parametrize("key", ["resnet50", "layer_norm", "global_response_norm"])
def test_networks_of_timms_registry_are_traced_by_timm(key):
    key = ROADMAPS["resnet50"].keys[0] if key == "resnet50" else key
    network = timm.create_model(
        f"roadmap_resnet50_{key}", depths=(1, 1, 1, 1), width=8, num_classes=5
    ).eval()
    fill(network)
    images = torch.randn(2, 3, 64, 64)
    with torch.no_grad():
        traced = fx.symbolic_trace(network)
        assert torch.equal(traced(images), network(images))
        torch.testing.assert_close(torch.jit.script(traced)(images), network(images))
        (features,) = timms_extractor(network, ["stages.3"])(images).values()
        assert torch.equal(features, network.forward_features(images))


@pytest.mark.parametrize("config", [LAYER_NORM, GRN], ids=["layer_norm", "grn"])
def test_the_exported_python_file_is_traced_and_scripted(config, tmp_path, monkeypatch):
    path = tmp_path / "exported.py"  # a file, as TorchScript reads the code
    path.write_text(network_source(small(config).replace(stochastic_depth=0.1)))
    spec = spec_from_file_location("exported", path)
    monkeypatch.setitem(sys.modules, "exported", module_from_spec(spec))
    spec.loader.exec_module(sys.modules["exported"])
    network = fill(sys.modules["exported"].Network().eval())
    images = torch.randn(2, 3, 64, 64)
    with torch.no_grad():
        traced = fx.symbolic_trace(network)
        assert torch.equal(traced(images), network(images))
        for script in (torch.jit.script(network), torch.jit.script(traced)):
            torch.testing.assert_close(script(images), network(images))
