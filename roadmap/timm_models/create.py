"""``create``: what the entry points in timm's registry call."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Mapping
from typing import Any

from timm.models import build_model_with_cfg, resolve_pretrained_cfg
from torch import nn

from models.config import FIELDS, ConfigError, ModelConfig
from models.text import said
from roadmap.timm_models.network import TimmNetwork, feature_info
from roadmap.timm_models.weights import PretrainedWeights

#: timm's names of two fields of the config.
_TIMM_TERMS = {"in_channels": "in_chans", "stochastic_depth": "drop_path_rate"}
#: What ``create`` takes besides fields of the config, less what it says itself.
_TIMM_ARGUMENTS = {
    *inspect.signature(build_model_with_cfg).parameters,
    *inspect.signature(TimmNetwork).parameters,
    *("features_only", "out_indices", "feature_cls", "output_stride"),
} - {"model_cls", "variant", "model_cfg", "cfg", "pretrained_filter_fn"}


class UnknownArgumentError(ConfigError, TypeError):
    """An argument that is neither timm's nor a field of the config."""


def create(
    name: str, config: ModelConfig, pretrained: bool = False, /, **arguments: Any
) -> nn.Module:
    """The network ``name`` of timm's registry, from ``config``.

    ``arguments`` are timm's, and fields of the config to replace. Raises ``ConfigError`` for
    values and names that make no network, and ``WeightsError`` where ``pretrained`` finds no
    weights that fit.
    """
    arguments = _in_timms_terms(arguments)
    fields = {key: arguments.pop(key) for key in list(arguments) if key not in _TIMM_ARGUMENTS}
    config = _replaced(config, fields)
    _check_output_stride(config, arguments.pop("output_stride", None))
    features = _feature_cfg(config, arguments.pop("feature_cfg", None))
    build = functools.partial(
        build_model_with_cfg,
        TimmNetwork,
        name,
        pretrained,
        model_cfg=config,
        feature_cfg=features,
        **arguments,
    )
    if not pretrained:
        return build()
    overlaid = arguments.get("pretrained_cfg"), arguments.get("pretrained_cfg_overlay")
    weights = PretrainedWeights(name, resolve_pretrained_cfg(name, *overlaid))
    with weights.loading():
        return build(pretrained_filter_fn=weights.convert)


def _feature_cfg(config: ModelConfig, given: Any) -> dict[str, Any]:
    """What timm's feature extractors get: all of ``feature_info``, or what is ``given``."""
    if not isinstance(given, Mapping | type(None)):
        raise ConfigError(
            f"feature_cfg is {said(given)}; use a dict such as {{'feature_cls': 'fx'}}",
            "feature_cfg",
        )
    indices = tuple(range(len(feature_info(config))))
    # A feature's module is inside others, where timm finds it with this alone.
    return {"out_indices": indices} | dict(given or {}) | {"flatten_sequential": True}


def _check_output_stride(config: ModelConfig, wanted: Any) -> None:
    """timm's networks dilate their convolutions for a smaller one; ours have the one they have."""
    stride = feature_info(config)[-1]["reduction"]
    if wanted is not None and wanted != stride:
        raise ConfigError(
            f"output_stride is {said(wanted)}; this network's is {stride}, and it has no dilation "
            "for another",
            "output_stride",
        )


def _in_timms_terms(arguments: dict[str, Any]) -> dict[str, Any]:
    for ours, timms in _TIMM_TERMS.items():
        if ours in arguments and timms in arguments:
            raise ConfigError(
                f"{timms} is timm's name for {ours}: give one of the two, not both", ours
            )
    return {_TIMM_TERMS.get(key, key): value for key, value in arguments.items()}


def _replaced(config: ModelConfig, fields: dict[str, Any]) -> ModelConfig:
    try:
        return config.replace(**fields)
    except ConfigError as error:
        if set(fields) <= set(FIELDS):
            raise
        raise UnknownArgumentError(str(error), *error.fields) from None
