import pytest
import torch
from hypothesis import given, settings
from strategies import configs

from models import VARIANTS, ModelConfig, ModernResNet
from roadmap.measure.receptive_field import receptive_fields


def seen(network: ModernResNet, part: str, size: int) -> int:
    """Side of the input region that reaches one middle position, by gradient.

    Max pooling passes the gradient to one position only, so average pooling stands in for it.
    """
    if network.config.stem == "resnet":
        network.stem.pool = torch.nn.AvgPool2d(3, 2, 1)
    for parameter in network.parameters():
        torch.nn.init.constant_(parameter, 0.1)
    image = torch.rand(1, network.config.in_channels, size, size, dtype=torch.float64)
    image.requires_grad_()
    x = network.double().eval().stem(image)
    if part != "stem":
        for stage in network.stages[: int(part.split()[1])]:
            x = stage(x)
    middle = x.shape[-1] // 2
    x[0, :, middle, middle].sum().backward()
    reached = image.grad.abs().sum((0, 1)) > 0
    return max(reached.any(0).sum().item(), reached.any(1).sum().item())


@pytest.mark.parametrize(
    "config",
    [
        ModelConfig(depths=(2, 2), width=2, norm="batch"),
        ModelConfig(depths=(1, 1), width=2, stem="patchify", kernel_size=7),
        VARIANTS["convnext_tiny"].replace(
            depths=(1, 1), width=2, norm="batch", activation="relu", layer_scale=1.0
        ),
    ],
)
def test_field_is_what_the_gradient_reaches(config):
    network = ModernResNet(config)
    for field in receptive_fields(config):
        assert seen(network, field.part, 320) == field.size, field.part


@settings(max_examples=50)
@given(configs())
def test_strides(config):
    strides = [field.stride for field in receptive_fields(config)]
    assert strides == [4, *(4 * 2**stage for stage in range(len(config.depths)))]


def test_known_fields():
    """ResNet-50 with the stride in its 3x3 convolutions, counted by hand."""
    assert [field.size for field in receptive_fields(VARIANTS["resnet50"])] == [
        11,
        35,
        91,
        267,
        427,
    ]
