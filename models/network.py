"""``ModernResNet``: the network of a config, built layer by layer from its specification.

Annotations are types here, not strings, since ``torch.jit.script`` reads them after ``torch.fx``.
"""

from collections import OrderedDict
from collections.abc import Callable
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models import spec as layers
from models.config import ModelConfig
from models.kernels.branch import Branch, Stages, residual
from models.kernels.depthwise import DepthwiseConv2d
from models.kernels.gelu import GELU
from models.kernels.layer_norm import LayerNorm2d
from models.kernels.layer_scale import LayerScale
from models.kernels.pointwise import PointwiseConv2d


class ResponseNorm(nn.Module):
    """Global response normalization of an (N, C, H, W) tensor (Woo et al. 2023, Section 3)."""

    def __init__(self, channels: int, eps: float = 1e-6):
        super().__init__()
        self.eps = eps
        self.weight = nn.Parameter(torch.empty(channels, 1, 1))
        self.bias = nn.Parameter(torch.empty(channels, 1, 1))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        nn.init.zeros_(self.weight)
        nn.init.zeros_(self.bias)

    def forward(self, x: Tensor) -> Tensor:
        precise = torch.promote_types(self.weight.dtype, torch.float32)
        norms = torch.linalg.vector_norm(x, dim=(2, 3), keepdim=True, dtype=precise)
        scale = self.weight * norms / (norms.mean(1, keepdim=True) + self.eps)
        return x + torch.addcmul(self.bias.to(x.dtype), x, scale.to(x.dtype))


class NarrowStridedConv(nn.Conv2d):
    """A strided 1x1 convolution with few channels that first drops the positions it does not read.

    The output is the same. oneDNN's weight gradient of such a layer writes outside its memory if
    the input is channels_last with fewer than 16 channels: wrong gradients or a crash (oneDNN
    #6035).
    """

    def forward(self, x: Tensor) -> Tensor:
        height, width = self.stride
        x = x[:, :, ::height, ::width]
        return F.conv2d(x, self.weight, self.bias, groups=self.groups)


class Block(nn.Module):
    """Residual block: shortcut + branch, then the activation, if the block has one there."""

    def __init__(self, spec: layers.BlockSpec):
        super().__init__()
        self.branch = Branch(_named(spec.branch))
        self.shortcut = _sequential(spec.shortcut)
        self.drop_path = _drop_path(spec.drop_path)
        self.activation = ACTIVATIONS[spec.activation]() if spec.activation else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        # TorchScript omits code only behind this exact condition.
        if not torch.jit.is_scripting():
            out = residual(x, self.shortcut(x), self.branch, self.drop_path)
        else:
            out = self.shortcut(x) + self.drop_path(self.branch(x))
        return self.activation(out)


class Stage(nn.Module):
    """Blocks at one resolution, after a separate downsampling layer if there is one."""

    def __init__(self, spec: layers.StageSpec):
        super().__init__()
        self.downsample = _sequential(spec.downsample)
        self.blocks = nn.Sequential(*(Block(block) for block in spec.blocks))

    def forward(self, x: Tensor) -> Tensor:
        return self.blocks(self.downsample(x))


class Head(nn.Module):
    """Global average pooling, a norm if the config has one, classifier."""

    def __init__(self, spec: layers.NetworkSpec):
        super().__init__()
        self.norm = _module(spec.head_norm) if spec.head_norm else nn.Identity()
        classifier = nn.Linear(spec.num_features, spec.num_classes) if spec.num_classes else None
        self.fc = classifier or nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        # Over (N, H, W, C), so that the gradient is also channels_last.
        pooled = x.permute(0, 2, 3, 1).mean((1, 2))
        return self.fc(self.norm(pooled[:, :, None, None]).flatten(1))


class ModernResNet(nn.Module):
    """Any network from ResNet to ConvNeXt.

    Takes images (N, in_channels, H, W) and returns logits (N, num_classes), or features
    (N, num_features) if the config's ``num_classes`` is 0. Fastest in channels_last.
    """

    def __init__(self, config: ModelConfig):
        super().__init__()
        spec = layers.network_spec(config)
        self.config = config
        self.num_classes = config.num_classes
        self.num_features = config.num_features
        self.stem = _sequential(spec.stem)
        self.stages = Stages(*(Stage(stage) for stage in spec.stages))
        self.head = Head(spec)
        self.apply(INITS[config.init])

    def forward_features(self, x: Tensor) -> Tensor:
        """Return the last stage's output, (N, num_features, H / 32, W / 32) for four stages."""
        return self.stages(self.stem(x))

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.forward_features(x))


ACTIVATIONS: dict[str, Callable[[], nn.Module]] = {
    "relu": partial(nn.ReLU, inplace=True),
    "gelu": GELU,
}
NORMS = {
    "batch": nn.BatchNorm2d,
    "layer": LayerNorm2d,
    "response": ResponseNorm,
}


def _sequential(specs: tuple[layers.Layer, ...]) -> nn.Module:
    if not specs:
        return nn.Identity()
    return nn.Sequential(_named(specs))


def _named(specs: tuple[layers.Layer, ...]) -> OrderedDict[str, nn.Module]:
    return OrderedDict((spec.name, _module(spec)) for spec in specs)


def _drop_path(rate: float) -> nn.Module:
    if not rate:
        return nn.Identity()
    from torchvision.ops import StochasticDepth  # takes more than a second to import

    return StochasticDepth(rate, "row")


def _norm(spec: layers.Norm) -> nn.Module:
    return NORMS[spec.kind](spec.channels, eps=layers.NORM_EPS[spec.kind])


def _conv(spec: layers.Conv) -> nn.Conv2d:
    return _kind(spec)(
        spec.in_channels,
        spec.out_channels,
        spec.kernel_size,
        stride=spec.stride,
        padding=spec.padding,
        groups=spec.groups,
        bias=spec.bias,
    )


def _kind(spec: layers.Conv) -> type[nn.Conv2d]:
    if spec.depthwise:
        return DepthwiseConv2d
    if spec.kernel_size == spec.stride == spec.groups == 1:
        return PointwiseConv2d
    return NarrowStridedConv if spec.narrow_strided else nn.Conv2d


def _module(spec: layers.Layer) -> nn.Module:
    match spec:
        case layers.Conv():
            return _conv(spec)
        case layers.Norm():
            return _norm(spec)
        case layers.Activation():
            return ACTIVATIONS[spec.kind]()
        case layers.MaxPool():
            return nn.MaxPool2d(spec.kernel_size, spec.stride, spec.padding)
        case layers.LayerScale():
            return LayerScale(spec.channels, spec.init)
    raise TypeError(f"no module for a {type(spec).__name__}")


def init_kaiming(module: nn.Module) -> None:
    """Initialize convolutions as He et al. 2015 (fan-out, ReLU); others keep torch's default."""
    if isinstance(module, nn.Conv2d):
        nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
        if module.bias is not None:
            nn.init.zeros_(module.bias)


def init_trunc_normal(module: nn.Module) -> None:
    """Initialize with a truncated normal, deviation 0.02, zero biases (Liu et al. 2022, Table 5).

    Table 5 prints 0.2; the official release has 0.02.
    """
    if isinstance(module, nn.Conv2d | nn.Linear):
        nn.init.trunc_normal_(module.weight, std=0.02)
        if module.bias is not None:
            nn.init.zeros_(module.bias)


def init_default(module: nn.Module) -> None:
    """Keep PyTorch's default: uniform in ±1/√(fan-in), for biases too."""


INITS = {
    "kaiming": init_kaiming,
    "trunc_normal": init_trunc_normal,
    "default": init_default,
}
