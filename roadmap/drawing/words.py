"""Names of layers, as inside a sentence."""

from __future__ import annotations

from models.spec import (
    Activation,
    Conv,
    Layer,
    LayerScale,
    MaxPool,
    Norm,
)

NORMS = {
    "batch": "batch norm",
    "layer": "layer norm",
    "response": "GRN",
}
ACTIVATIONS = {
    "relu": "ReLU",
    "gelu": "GELU",
}


def label(name: str) -> str:
    """Return a name as it is written alone, with a capital: ``Layer norm``."""
    return name[:1].upper() + name[1:]


def side(layer: Conv | MaxPool) -> str:
    return f"{layer.kernel_size}×{layer.kernel_size}"


def conv_text(conv: Conv) -> tuple[str, str]:
    kind = " depthwise" if conv.depthwise else f", {conv.groups} groups" if conv.groups > 1 else ""
    same = conv.in_channels == conv.out_channels
    channels = f"{conv.in_channels}" if same else f"{conv.in_channels} → {conv.out_channels}"
    more = f", stride {conv.stride}" if conv.stride > 1 else " channels" if same else ""
    return side(conv) + (kind or " convolution"), channels + more


def short_name(layer: Layer) -> str:
    if isinstance(layer, Norm):
        return NORMS[layer.kind]
    if isinstance(layer, Activation):
        return ACTIVATIONS[layer.kind]
    if isinstance(layer, LayerScale):
        return "layer scale"
    raise TypeError(f"no short name for a {type(layer).__name__}, which is drawn with its size")


def lane_text(layer: Layer) -> str:
    if isinstance(layer, Conv):
        return side(layer) + (f" stride {layer.stride}" if layer.stride > 1 else "")
    return short_name(layer)


def layer_words(layer: Layer) -> str:
    """Return a layer in words without signs, for text alternatives."""
    if isinstance(layer, Conv):
        return "{} {}".format(*conv_text(layer)).replace("→", "to").replace("×", " by ")
    if isinstance(layer, MaxPool):
        return f"{side(layer)} max pooling".replace("×", " by ")
    return short_name(layer)
