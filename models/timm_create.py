"""``create``: what the entry points in timm's registry call."""

from __future__ import annotations

import inspect
from typing import Any
from urllib.error import URLError

from timm.models import (
    PretrainedCfg,
    build_model_with_cfg,
    is_model_pretrained,
    list_models,
    resolve_pretrained_cfg,
)
from torch import Tensor, nn

from models.config import FIELDS, ConfigError, ModelConfig
from models.timm_network import TimmNetwork, feature_info
from models.timm_registry import PREFIX
from models.weights import convert_state_dict

#: timm's names of two fields of the config.
_TIMM_TERMS = {"in_channels": "in_chans", "stochastic_depth": "drop_path_rate"}
#: What ``create`` takes besides fields of the config.
_TIMM_ARGUMENTS = {
    *inspect.signature(build_model_with_cfg).parameters,
    *inspect.signature(TimmNetwork).parameters,
    *("features_only", "out_indices", "feature_cls"),
}


class WeightsError(RuntimeError):
    """Pretrained weights that do not exist, cannot be fetched or are of another network."""


class UnknownArgumentError(ConfigError, TypeError):
    """An argument that is neither timm's nor a field of the config."""


def create(name: str, config: ModelConfig, pretrained: bool = False, **arguments) -> nn.Module:
    """The network ``name`` of timm's registry, from ``config``.

    ``arguments`` are timm's, and fields of the config to replace. Raises ``ConfigError`` for
    values and names that make no network, and ``WeightsError`` where ``pretrained`` finds no
    weights that fit.
    """
    arguments = {_TIMM_TERMS.get(key, key): value for key, value in arguments.items()}
    fields = {key: arguments.pop(key) for key in list(arguments) if key not in _TIMM_ARGUMENTS}
    config = _replaced(config, fields)
    weights = resolve_pretrained_cfg(
        name, arguments.get("pretrained_cfg"), arguments.get("pretrained_cfg_overlay")
    )
    if pretrained and not (weights.has_weights or weights.state_dict):
        raise WeightsError(_no_weights(name))
    try:
        return build_model_with_cfg(
            TimmNetwork,
            name,
            pretrained,
            model_cfg=config,
            feature_cfg={
                "out_indices": tuple(range(len(feature_info(config)))),
                "flatten_sequential": True,
            },
            pretrained_filter_fn=_converted,
            **arguments,
        )
    except (FileNotFoundError, ConnectionError, URLError):
        raise WeightsError(_unreachable(weights)) from None


def _replaced(config: ModelConfig, fields: dict[str, Any]) -> ModelConfig:
    try:
        return config.replace(**fields)
    except ConfigError as error:
        if set(fields) <= set(FIELDS):
            raise
        raise UnknownArgumentError(str(error), *error.fields) from None


def _converted(state_dict: dict[str, Tensor], network: TimmNetwork) -> dict[str, Tensor]:
    """Our keys; classifier and first convolution stay as they are, timm adapts them after."""
    source = network.pretrained_cfg
    config = network.config.replace(
        num_classes=source["num_classes"], in_channels=source["input_size"][0]
    )
    try:
        return convert_state_dict(state_dict, config)
    except ValueError as error:
        raise WeightsError(str(error)) from None


def _no_weights(name: str) -> str:
    with_weights = [other for other in list_models(f"{PREFIX}*") if is_model_pretrained(other)]
    return (
        f"{name} has no pretrained weights: use pretrained=False, name a file of your own with "
        f"pretrained_cfg_overlay=dict(file=...), or take one that has: {', '.join(with_weights)}"
    )


def _unreachable(weights: PretrainedCfg) -> str:
    advice = "name a file of them with pretrained_cfg_overlay=dict(file=...)"
    if weights.file:
        return f"there are no weights at {weights.file}: {advice}"
    where = weights.hf_hub_id or weights.url
    return f"the weights {where} could not be downloaded: check the network, or {advice}"
