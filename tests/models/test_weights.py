"""Weights carried over give the logits of timm and torchvision."""

import functools
import math
from collections.abc import Callable

import pytest
import timm
import torch
import torchvision
from torch import nn

from models import VARIANTS, ModelConfig, ModernResNet
from models.variants import TIMM_NAMES
from models.weights import convert_state_dict, export_state_dict

TORCHVISION = ["resnet50", "convnext_tiny"]


@functools.cache
def noise(exponent: int, dtype: torch.dtype) -> torch.Tensor:
    """Uniform values within 2**``exponent``, enough for the largest layer."""
    values = torch.rand(17_000_000, generator=torch.Generator().manual_seed(exponent), dtype=dtype)
    return values.mul_(2).sub_(1).mul_(2.0**exponent)


def random_state(network: nn.Module, dtype: torch.dtype) -> dict[str, torch.Tensor]:
    """A state dict under which every layer counts: as initialized, a layer scale of 1e-6 hides its
    whole branch. Large tensors are views of the same noise, which costs neither time nor memory.
    """
    torch.manual_seed(0)
    state = {}
    for name, tensor in network.state_dict().items():
        if not tensor.dtype.is_floating_point:
            state[name] = torch.zeros(tensor.shape, dtype=tensor.dtype)
        elif tensor.ndim > 1 and "layer_scale" not in name:
            exponent = round(math.log2(3 / tensor[0].numel()) / 2)
            start = torch.randint(100_000, ()).item()
            state[name] = noise(exponent, dtype)[start:][: tensor.numel()].view(tensor.shape)
        elif "running_mean" in name or name.endswith("bias"):
            state[name] = 0.1 * torch.randn(tensor.shape, dtype=dtype)
        else:
            state[name] = 0.5 + 0.5 * torch.rand(tensor.shape, dtype=dtype)
    return state


def weights_of(config: ModelConfig) -> dict[str, torch.Tensor]:
    with torch.device("meta"):
        network = ModernResNet(config)
    return random_state(network, torch.float32)


def assert_fits(make: Callable[[], nn.Module], state: dict[str, torch.Tensor]) -> None:
    """Strictly: keys and shapes."""
    with torch.device("meta"):
        network = make()
    network.load_state_dict(state, assign=True)


def relative_difference(ours: nn.Module, theirs: nn.Module, images: torch.Tensor) -> float:
    with torch.no_grad():
        expected = theirs(images)
        return ((ours(images) - expected).abs().max() / expected.abs().max()).item()


def assert_equal_logits(config: ModelConfig, theirs: nn.Module) -> None:
    """Both on the meta device until the weights are assigned."""
    with torch.device("meta"):
        ours = ModernResNet(config)
    for dtype, allowed in ((torch.float32, 1e-4), (torch.float64, 1e-10)):
        state = random_state(theirs, dtype)
        ours.load_state_dict(convert_state_dict(state, config), assign=True)
        # A copy: running statistics would change in both networks at once.
        theirs.load_state_dict({key: _own(value) for key, value in state.items()}, assign=True)
        images = torch.randn(1, 3, 64, 64, dtype=dtype)
        for training in (False, True):
            ours.train(training)
            theirs.train(training)
            assert relative_difference(ours, theirs, images) < allowed


def _own(tensor: torch.Tensor) -> torch.Tensor:
    return tensor if tensor.ndim > 1 else tensor.clone()


@pytest.mark.slow
@pytest.mark.parametrize("name", VARIANTS)
def test_logits_equal_timm(name):
    """The largest with fewer blocks, which differ from the smaller ones' in width alone."""
    wide = VARIANTS[name].width > 96
    depths = {"depths": (1, 1, 3, 1)} if wide else {}
    with torch.device("meta"):
        theirs = timm.create_model(TIMM_NAMES[name], pretrained=False, **depths)
    assert_equal_logits(VARIANTS[name].replace(**depths), theirs)


@pytest.mark.parametrize("name", TORCHVISION)
def test_logits_equal_torchvision(name):
    options = {"stochastic_depth_prob": 0.0} if "convnext" in name else {}
    with torch.device("meta"):
        theirs = torchvision.models.get_model(name, weights=None, **options)
    assert_equal_logits(VARIANTS[name], theirs)


@pytest.mark.parametrize("name", VARIANTS)
def test_parameters_equal_timm(name):
    with torch.device("meta"):
        theirs = timm.create_model(TIMM_NAMES[name], pretrained=False)
        ours = ModernResNet(VARIANTS[name])
    assert sum(p.numel() for p in ours.parameters()) == sum(p.numel() for p in theirs.parameters())


@pytest.mark.parametrize(
    ("name", "target", "twin"),
    [
        ("resnet50", "resnet", lambda: timm.create_model("resnet50")),
        ("resnext50", "resnet", torchvision.models.resnext50_32x4d),
        ("convnext_tiny", "timm", lambda: timm.create_model("convnext_tiny")),
        ("convnext_tiny", "torchvision", torchvision.models.convnext_tiny),
        ("convnextv2_tiny", "timm", lambda: timm.create_model("convnextv2_tiny")),
    ],
)
def test_weights_go_there_and_back(name, target, twin):
    config = VARIANTS[name]
    ours = weights_of(config)
    exported = export_state_dict(ours, config, target)
    assert_fits(twin, exported)
    back = convert_state_dict(exported, config)
    assert all(torch.equal(back[key], ours[key]) for key in ours)


def test_official_release_keys():
    """Keys as in the official ConvNeXt checkpoints, wrapped as they are there."""
    config = VARIANTS["convnext_tiny"]
    ours = weights_of(config)
    official = export_state_dict(ours, config, "official")
    assert official["downsample_layers.0.0.weight"].shape == (96, 3, 4, 4)
    assert official["downsample_layers.3.1.weight"].shape == (768, 384, 2, 2)
    assert official["stages.2.8.pwconv1.weight"].shape == (1536, 384)
    assert official["stages.2.8.gamma"].shape == (384,)
    assert {"norm.weight", "head.bias", "stages.0.0.dwconv.weight"} <= set(official)
    back = convert_state_dict({"model": official}, config)
    assert all(torch.equal(back[key], ours[key]) for key in ours)
    config = VARIANTS["convnextv2_tiny"]
    ours = weights_of(config)
    official = export_state_dict(ours, config, "official")
    assert official["stages.2.8.grn.gamma"].shape == (1, 1, 1, 1536)
    back = convert_state_dict(official, config)
    assert all(torch.equal(back[key], ours[key]) for key in ours)


def test_features_leave_the_classifier_out():
    config = VARIANTS["resnet50"].replace(num_classes=0)
    with torch.device("meta"):
        network = torchvision.models.resnet50()
    theirs = random_state(network, torch.float32)
    assert_fits(lambda: ModernResNet(config), convert_state_dict(theirs, config))


def test_files_without_batch_counts_load():
    with torch.device("meta"):
        network = torchvision.models.resnet50()
    theirs = random_state(network, torch.float32)
    theirs = {key: value for key, value in theirs.items() if "num_batches_tracked" not in key}
    config = VARIANTS["resnet50"]
    assert_fits(lambda: ModernResNet(config), convert_state_dict(theirs, config))


def test_weights_that_do_not_fit_are_refused_in_a_sentence():
    with torch.device("meta"):
        resnet = torchvision.models.resnet50().state_dict()
        larger = timm.create_model("resnet101").state_dict()
        ours = ModernResNet(VARIANTS["resnet50"]).state_dict()
    with pytest.raises(ValueError, match=r"head\.fc\.weight has shape \(1000, 2048\)"):
        convert_state_dict(resnet, VARIANTS["resnet50"].replace(num_classes=10))
    with pytest.raises(ValueError, match="have no tensors"):
        convert_state_dict({}, VARIANTS["resnet50"])
    with pytest.raises(ValueError, match="do not fit the config: of resnet's"):
        convert_state_dict(resnet, VARIANTS["resnet200"])
    with pytest.raises(ValueError, match="are not in resnet's network"):
        convert_state_dict(larger, VARIANTS["resnet50"])
    with pytest.raises(ValueError, match="official has no network with this config"):
        export_state_dict(ours, VARIANTS["resnet50"], "official")
    with pytest.raises(ValueError, match="use one of resnet, timm"):
        export_state_dict({}, VARIANTS["resnet50"], "keras")
