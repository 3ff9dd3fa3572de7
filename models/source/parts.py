"""Parts of an exported file that are the same in every network that uses them."""

from __future__ import annotations

import ast
from pathlib import Path


def network_class(name: str) -> str:
    """Return the source of a class in ``models.network`` that only uses torch."""
    text = Path(__file__).parents[1].joinpath("network.py").read_text(encoding="utf-8")
    classes = {node.name: node for node in ast.parse(text).body if isinstance(node, ast.ClassDef)}
    segment = ast.get_source_segment(text, classes[name])
    assert segment is not None  # the node was parsed from this text
    return segment


LAYER_NORM = '''
class LayerNorm2d(nn.LayerNorm):
    """Layer normalization over the channels of an (N, C, H, W) tensor."""

    def forward(self, x: Tensor) -> Tensor:
        x = x.permute(0, 2, 3, 1)
        x = F.layer_norm(x, self.normalized_shape, self.weight, self.bias, self.eps)
        return x.permute(0, 3, 1, 2)
'''

LAYER_SCALE = '''
class LayerScale(nn.Module):
    """A learned factor per channel, initially {init} (Touvron et al. 2021)."""

    def __init__(self, channels: int):
        super().__init__()
        self.gamma = nn.Parameter(torch.full((channels, 1, 1), {init}))

    def forward(self, x: Tensor) -> Tensor:
        return x * self.gamma
'''

DROP_PATH = '''
class DropPath(nn.Module):
    """Stochastic depth (Huang et al. 2016): in training, drops the branch for random images."""

    def __init__(self, rate: float):
        super().__init__()
        self.rate = rate

    def forward(self, x: Tensor) -> Tensor:
        if self.rate == 0.0 or not self.training:
            return x
        kept = 1.0 - self.rate
        mask = x.new_empty(x.shape[0], 1, 1, 1).bernoulli_(kept)
        return x * mask.div_(kept)
'''

NARROW_CONV = '''
class NarrowStridedConv(nn.Conv2d):
    """A strided 1x1 convolution that first drops the positions it does not read.

    oneDNN's own gradient is wrong for few channels in channels_last (oneDNN #6035).
    """

    def forward(self, x: Tensor) -> Tensor:
        height, width = self.stride
        x = x[:, :, ::height, ::width]
        return F.conv2d(x, self.weight, self.bias, groups=self.groups)
'''

KAIMING_INIT = '''
def initialize(module: nn.Module) -> None:
    """Normal, scaled by fan-out (He et al. 2015); norms and classifier keep PyTorch's default."""
    if isinstance(module, nn.Conv2d):
        nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
        if module.bias is not None:
            nn.init.zeros_(module.bias)
'''

TRUNC_NORMAL_INIT = '''
def initialize(module: nn.Module) -> None:
    """Truncated normal with standard deviation 0.02, zero biases (Liu et al. 2022)."""
    if isinstance(module, (nn.Conv2d, nn.Linear)):
        nn.init.trunc_normal_(module.weight, std=0.02)
        if module.bias is not None:
            nn.init.zeros_(module.bias)
'''

MAIN = """
if __name__ == "__main__":
    network = Network().eval()
    with torch.inference_mode():
        output = network(torch.randn(1, {in_channels}, 224, 224))
    parameters = sum(parameter.numel() for parameter in network.parameters())
    print(f"output {{tuple(output.shape)}}, {{parameters:,}} parameters")
"""
