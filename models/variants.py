"""Published networks as configs."""

from __future__ import annotations

from models.config import ModelConfig


def _convnext(depths: tuple[int, ...], width: int) -> ModelConfig:
    """ConvNeXt (Liu et al. 2022, Section 3 and Appendix A)."""
    return ModelConfig(
        depths=depths,
        width=width,
        stem="patchify",
        block="inverted",
        depthwise=True,
        depthwise_position="first",
        kernel_size=7,
        activation="gelu",
        activations_per_block=1,
        norm="layer",
        norms_per_block=1,
        downsampling="separate",
        layer_scale=1e-6,
        init="trunc_normal",
    )


def _convnext_v2(depths: tuple[int, ...], width: int) -> ModelConfig:
    """ConvNeXt V2 (Woo et al. 2023, Section 3 and Appendix A)."""
    return _convnext(depths, width).replace(response_norm=True, layer_scale=None)


#: Configs by name; ``TIMM_NAMES`` has timm's name for the same network.
VARIANTS: dict[str, ModelConfig] = {
    "resnet50": ModelConfig(),
    "resnet200": ModelConfig(depths=(3, 24, 36, 3)),
    "resnext50": ModelConfig(groups=32, group_width=4),
    "convnext_tiny": _convnext((3, 3, 9, 3), 96),
    "convnext_small": _convnext((3, 3, 27, 3), 96),
    "convnext_base": _convnext((3, 3, 27, 3), 128),
    "convnext_large": _convnext((3, 3, 27, 3), 192),
    "convnext_xlarge": _convnext((3, 3, 27, 3), 256),
    "convnextv2_tiny": _convnext_v2((3, 3, 9, 3), 96),
    "convnextv2_base": _convnext_v2((3, 3, 27, 3), 128),
}

#: The networks' names in texts.
VARIANT_TITLES: dict[str, str] = {
    "resnet50": "ResNet-50",
    "resnet200": "ResNet-200",
    "resnext50": "ResNeXt-50",
    "convnext_tiny": "ConvNeXt-T",
    "convnext_small": "ConvNeXt-S",
    "convnext_base": "ConvNeXt-B",
    "convnext_large": "ConvNeXt-L",
    "convnext_xlarge": "ConvNeXt-XL",
    "convnextv2_tiny": "ConvNeXt V2-T",
    "convnextv2_base": "ConvNeXt V2-B",
}

TIMM_NAMES: dict[str, str] = {name: name for name in VARIANTS} | {"resnext50": "resnext50_32x4d"}

#: Smaller and larger networks of the same families, by timm's name. No part of this project
#: measures them, but weights of theirs are recognized.
FURTHER: dict[str, ModelConfig] = {
    "resnet101": ModelConfig(depths=(3, 4, 23, 3)),
    "resnet152": ModelConfig(depths=(3, 8, 36, 3)),
    "convnext_atto": _convnext((2, 2, 6, 2), 40),
    "convnext_femto": _convnext((2, 2, 6, 2), 48),
    "convnext_pico": _convnext((2, 2, 6, 2), 64),
    "convnext_nano": _convnext((2, 2, 8, 2), 80),
    "convnextv2_atto": _convnext_v2((2, 2, 6, 2), 40),
    "convnextv2_femto": _convnext_v2((2, 2, 6, 2), 48),
    "convnextv2_pico": _convnext_v2((2, 2, 6, 2), 64),
    "convnextv2_nano": _convnext_v2((2, 2, 8, 2), 80),
    "convnextv2_large": _convnext_v2((3, 3, 27, 3), 192),
    "convnextv2_huge": _convnext_v2((3, 3, 27, 3), 352),
}
