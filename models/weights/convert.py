"""Conversion of weights from and to timm, torchvision and the official ConvNeXt release."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from models.config import ModelConfig
from models.network import ModernResNet
from models.text import said
from models.weights.checkpoints import state_dict_of, with_bare_keys


def _block(path: str, **names: str) -> dict[str, str]:
    """Map our names of a ConvNeXt block's layers to key templates under ``path``."""
    return {f"branch.{ours}": f"{path}{theirs}" for ours, theirs in names.items()}


#: For each source, the key for our module: ``layer`` is the stage from 1, ``down`` and ``odd`` are
#: the indices of a downsampling layer and a stage in torchvision's list, ``greek`` is the
#: parameter's name in the official global response normalization.
_TEMPLATES: dict[str, dict[str, str]] = {
    "resnet": {  # timm's and torchvision's ResNet have the same keys
        "stem.conv": "conv1.{parameter}",
        "stem.norm": "bn1.{parameter}",
        **{f"branch.conv{n}": f"layer{{layer}}.{{block}}.conv{n}.{{parameter}}" for n in (1, 2, 3)},
        **{f"branch.norm{n}": f"layer{{layer}}.{{block}}.bn{n}.{{parameter}}" for n in (1, 2, 3)},
        "shortcut.conv": "layer{layer}.{block}.downsample.0.{parameter}",
        "shortcut.norm": "layer{layer}.{block}.downsample.1.{parameter}",
        "head.fc": "fc.{parameter}",
    },
    "timm": {
        "stem.conv": "stem.0.{parameter}",
        "stem.norm": "stem.1.{parameter}",
        "downsample.norm": "stages.{stage}.downsample.0.{parameter}",
        "downsample.conv": "stages.{stage}.downsample.1.{parameter}",
        **_block(
            "stages.{stage}.blocks.{block}.",
            conv1="conv_dw.{parameter}",
            norm1="norm.{parameter}",
            conv2="mlp.fc1.{parameter}",
            grn="mlp.grn.{parameter}",
            conv3="mlp.fc2.{parameter}",
            scale="{parameter}",
        ),
        "head.norm": "head.norm.{parameter}",
        "head.fc": "head.fc.{parameter}",
    },
    "torchvision": {
        "stem.conv": "features.0.0.{parameter}",
        "stem.norm": "features.0.1.{parameter}",
        "downsample.norm": "features.{down}.0.{parameter}",
        "downsample.conv": "features.{down}.1.{parameter}",
        **_block(
            "features.{odd}.{block}.",
            conv1="block.0.{parameter}",
            norm1="block.2.{parameter}",
            conv2="block.3.{parameter}",
            conv3="block.5.{parameter}",
            scale="layer_scale",
        ),
        "head.norm": "classifier.0.{parameter}",
        "head.fc": "classifier.2.{parameter}",
    },
    "official": {
        "stem.conv": "downsample_layers.0.0.{parameter}",
        "stem.norm": "downsample_layers.0.1.{parameter}",
        "downsample.norm": "downsample_layers.{stage}.0.{parameter}",
        "downsample.conv": "downsample_layers.{stage}.1.{parameter}",
        **_block(
            "stages.{stage}.{block}.",
            conv1="dwconv.{parameter}",
            norm1="norm.{parameter}",
            conv2="pwconv1.{parameter}",
            grn="grn.{greek}",
            conv3="pwconv2.{parameter}",
            scale="{parameter}",
        ),
        "head.norm": "norm.{parameter}",
        "head.fc": "head.{parameter}",
    },
}
_GREEK = {"weight": "gamma", "bias": "beta"}
SOURCES: tuple[str, ...] = tuple(_TEMPLATES)

#: Files from before torch 0.4.1 lack batch norm's count of batches.
_NO_COUNT = torch.tensor(0)
_WHOLE = (torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64)

_OUR_KEY = re.compile(
    r"(?:stages\.(?P<stage>\d+)\.)?(?:blocks\.(?P<block>\d+)\.)?(?P<role>\w+\.\w+)\.(?P<parameter>\w+)"
)


def convert_state_dict(state_dict: Mapping[str, Tensor], config: ModelConfig) -> dict[str, Tensor]:
    """Convert weights from any source to ``ModernResNet(config)``'s, recognized by their keys.

    Accepts weights of timm, torchvision, the official releases and this project, also as training
    programs save them: nested in ``{"model": ...}`` and similar (``checkpoints.WRAPPERS``; averaged
    weights are preferred, as in timm), and with ``module.``, ``model.`` or ``_orig_mod.`` in the
    keys. With ``num_classes=0``, the classifier is left out. Raises ``ValueError`` if keys or
    shapes do not fit the config, naming the first that does not, or if a value is not a tensor of
    finite real numbers.
    """
    state_dict = with_bare_keys(state_dict_of(state_dict)[0])
    if not state_dict:
        raise ValueError("these weights have no tensors: use a non-empty state dict")
    shapes = _our_shapes(config)
    keys = _source_keys(state_dict, config, shapes)
    return {
        ours: _reshaped(ours, _checked(theirs, state_dict.get(theirs, _NO_COUNT)), shapes[ours])
        for ours, theirs in keys.items()
    }


def check_weights(state_dict: Mapping[str, Any]) -> None:
    """Raise ``ValueError`` unless every value is a tensor of finite real numbers."""
    for name, value in state_dict.items():
        _checked(name, value)


def export_state_dict(
    state_dict: Mapping[str, Tensor], config: ModelConfig, target: str
) -> dict[str, Tensor]:
    """Convert ``ModernResNet(config)``'s weights to keys and shapes of ``target`` (``SOURCES``).

    Raises ``ValueError`` for an unknown target or one without such a network, and for weights that
    are not finite.
    """
    if target not in SOURCES:
        raise ValueError(f"target is {said(target)}; use one of {', '.join(SOURCES)}")
    keys = _key_map(_our_shapes(config), target)
    if keys is None:
        raise ValueError(f"{target} has no network with this config")
    return {
        theirs: _exported(ours, _checked(ours, state_dict[ours]), target)
        for ours, theirs in keys.items()
    }


def _our_shapes(config: ModelConfig) -> dict[str, torch.Size]:
    with torch.device("meta"):
        network = ModernResNet(config)
    return {key: value.shape for key, value in network.state_dict().items()}


def _key_map(ours: Mapping[str, object], source: str) -> dict[str, str] | None:
    """Return the source's key for each of ours, or None if it lacks such a layer."""
    keys = {}
    for key in ours:
        place = _OUR_KEY.fullmatch(key)
        assert place is not None, key  # all keys of our networks match
        template = _TEMPLATES[source].get(place["role"])
        if template is None:
            return None
        stage = int(place["stage"] or 0)
        keys[key] = template.format(
            stage=stage,
            layer=stage + 1,
            down=2 * stage,
            odd=2 * stage + 1,
            block=place["block"],
            parameter=place["parameter"],
            greek=_GREEK.get(place["parameter"]),
        )
    return keys


def _source_keys(
    state_dict: Mapping[str, Tensor], config: ModelConfig, shapes: Mapping[str, torch.Size]
) -> dict[str, str]:
    maps = {source: _key_map(shapes, source) for source in SOURCES}
    candidates = {"roadmap": {key: key for key in shapes}} | {
        source: keys for source, keys in maps.items() if keys is not None
    }
    missing = {
        source: [
            theirs
            for theirs in keys.values()
            if theirs not in state_dict and not theirs.endswith("num_batches_tracked")
        ]
        for source, keys in candidates.items()
    }
    source = min(missing, key=lambda name: len(missing[name]))
    if missing[source]:
        raise ValueError(
            f"these weights do not fit the config: of {source}'s {len(shapes)} keys, "
            f"{len(missing[source])} are missing, the first {said(missing[source][0])}"
        )
    used = set(candidates[source].values())
    if config.num_classes == 0:
        used |= set(_classifier_keys(source))
    extra = [key for key in state_dict if key not in used]
    if extra:
        raise ValueError(
            f"these weights do not fit the config: {len(extra)} keys are not in {source}'s "
            f"network, the first {said(extra[0])}"
        )
    return candidates[source]


def _classifier_keys(source: str) -> list[str]:
    template = _TEMPLATES.get(source, {}).get("head.fc", "head.fc.{parameter}")
    return [template.format(parameter=parameter) for parameter in ("weight", "bias")]


def _checked(key: str, value: Any) -> Tensor:
    """Check that ``value`` is a tensor of finite real numbers, or batch norm's integer counts."""
    if not isinstance(value, Tensor):
        raise ValueError(f"{said(key)} is {said(value)} in these weights; use a tensor")
    count = key.endswith("num_batches_tracked") and value.dtype in _WHOLE
    if value.layout != torch.strided or not (value.is_floating_point() or count):
        kind = f"{value.dtype}, {value.layout}".replace("torch.", "").removesuffix(", strided")
        raise ValueError(f"{said(key)} is {kind} in these weights; use dense floating point")
    if not (count or value.is_meta or value.float().isfinite().all()):
        raise ValueError(
            f"{said(key)} has values that are not finite (NaN or infinity) in these weights: "
            "training diverged, or the file is damaged; use earlier weights"
        )
    return value


def _reshaped(key: str, tensor: Tensor, shape: torch.Size) -> Tensor:
    """Reshape linear weights to 1x1 convolutions, and factors per channel to (C, 1, 1)."""
    plain = tensor.squeeze()
    if plain.shape != torch.empty(shape, device="meta").squeeze().shape:
        raise ValueError(
            f"{key} has shape {tuple(tensor.shape)} in these weights and {tuple(shape)} in the "
            "config: check num_classes, in_channels and width"
        )
    return tensor.reshape(shape)


def _exported(key: str, tensor: Tensor, target: str) -> Tensor:
    if target == "resnet":
        return tensor
    if key.endswith((".conv2.weight", ".conv3.weight")):  # linear layers in the source
        return tensor.flatten(1)
    if ".grn." in key:
        return tensor.reshape(1, 1, 1, -1) if target == "official" else tensor.flatten()
    if key.endswith(".gamma") and target != "torchvision":
        return tensor.flatten()
    return tensor
