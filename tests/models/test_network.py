"""Every step builds, runs and learns; every valid config does."""

import pytest
import timm
import torch
from each_once import STEPS, each_once
from hypothesis import given, settings
from strategies import configs
from torch import nn
from torchvision.ops import StochasticDepth

from models import VARIANTS, ModelConfig, ModernResNet
from models.spec import network_spec
from roadmap import ROADMAPS


def narrow(config: ModelConfig) -> ModelConfig:
    """In full depth, an eighth of the width."""
    return config.replace(width=config.width // 8)


def assert_learns(network: nn.Module, size: int) -> None:
    logits = network(torch.randn(1, 3, size, size))
    assert logits.shape == (1, 7)
    nn.functional.cross_entropy(logits, torch.tensor([3])).backward()
    for name, parameter in network.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name


@pytest.mark.slow
@pytest.mark.parametrize("config", each_once(STEPS.items(), narrow))
def test_every_step_runs_forward_and_backward(config):
    """test_source.py runs every step in its full width."""
    assert_learns(ModernResNet(config.replace(num_classes=7)), 64)


@pytest.mark.slow
@pytest.mark.parametrize("roadmap", ["resnet50", "resnet200"])
@pytest.mark.parametrize("end", [0, -1])
def test_first_and_last_step_run_in_full(roadmap, end):
    network = ROADMAPS[roadmap].build(ROADMAPS[roadmap].keys[end], num_classes=7)
    assert_learns(network, 224 if roadmap == "resnet50" else 64)


@settings(max_examples=40)
@given(configs())
def test_any_valid_config_runs(config):
    network = ModernResNet(config)
    images = torch.randn(3, config.in_channels, 64, 64)
    features = network.forward_features(images)
    side = 64 // 4 // 2 ** (len(config.depths) - 1)
    assert features.shape == (3, config.num_features, side, side)
    output = network(images)
    assert output.shape == (3, config.num_classes or config.num_features)
    output.square().sum().backward()
    assert all(parameter.grad is not None for parameter in network.parameters())


@pytest.mark.slow
@pytest.mark.parametrize("key", ROADMAPS["resnet50"].keys)
def test_features_are_what_the_classifier_reads(key):
    config = narrow(ROADMAPS["resnet50"].config(key, in_channels=1))
    network = ModernResNet(config).eval()
    bare = ModernResNet(config.replace(num_classes=0)).eval()
    bare.load_state_dict(
        {key: value for key, value in network.state_dict().items() if not key.startswith("head.fc")}
    )
    images = torch.randn(1, 1, 64, 64)
    with torch.no_grad():
        assert torch.equal(network.head.fc(bare(images)), network(images))


@pytest.mark.parametrize("name", ["resnet50", "convnext_tiny"])
def test_stochastic_depth_grows_as_in_timm(name):
    ours = ModernResNet(VARIANTS[name].replace(stochastic_depth=0.3))
    theirs = timm.create_model(name, drop_path_rate=0.3)
    ours_rates = [m.p for m in ours.modules() if isinstance(m, StochasticDepth)]
    theirs_rates = [m.drop_prob for m in theirs.modules() if isinstance(m, timm.layers.DropPath)]
    assert ours_rates == pytest.approx([rate for rate in theirs_rates if rate])
    assert len(ours_rates) == sum(VARIANTS[name].depths) - 1  # the first block is never dropped


def test_stochastic_depth_drops_whole_branches_of_single_images():
    network = ModernResNet(ModelConfig(depths=(1, 1), width=4, stochastic_depth=0.5)).train()
    block = network.stages[1].blocks[0]
    x = torch.randn(64, 16, 8, 8)
    dropped = (block(x) == block.activation(block.shortcut(x))).flatten(1).all(1)
    assert 16 < dropped.sum() < 48


def test_kaiming_init():
    network = ModernResNet(ModelConfig())
    conv = network.stages[2].blocks[1].branch.conv2
    assert conv.weight.std().item() == pytest.approx((2 / (256 * 9)) ** 0.5, rel=0.02)
    assert network.stem.norm.weight.eq(1).all()


def test_trunc_normal_init():
    network = ModernResNet(VARIANTS["convnext_tiny"])
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            assert module.weight.std().item() == pytest.approx(0.02, rel=0.1)
            assert module.bias.eq(0).all()
    assert network.stages[0].blocks[0].branch.scale.gamma.eq(1e-6).all()


def test_default_init_is_that_of_torchs_layers():
    config = VARIANTS["convnext_tiny"].replace(depths=(1, 1), width=8, init="default")
    torch.manual_seed(0)
    network = ModernResNet(config)
    for name, module in network.named_modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            bound = module.weight[0].numel() ** -0.5  # Kaiming's uniform with a = √5
            assert 0.8 * bound < module.weight.abs().max() <= bound, name
            assert 0 < module.bias.abs().max() <= bound, name


def test_network_is_built_from_its_specification():
    config = ROADMAPS["resnet50"].config("fewer_activations")
    spec = network_spec(config)
    block = ModernResNet(config).stages[1].blocks[0]
    assert list(dict(block.branch.named_children())) == [
        layer.name for layer in spec.stages[1].blocks[0].branch
    ]
    assert isinstance(block.activation, nn.Identity)
