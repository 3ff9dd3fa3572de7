"""``create``, which the entry points in timm's registry call."""

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
#: Arguments that ``create`` passes on to timm, except those that it sets itself.
_TIMM_ARGUMENTS = {
    *inspect.signature(build_model_with_cfg).parameters,
    *inspect.signature(TimmNetwork).parameters,
    *("features_only", "out_indices", "feature_cls", "output_stride"),
} - {"model_cls", "variant", "model_cfg", "cfg", "pretrained_filter_fn"}


class UnknownArgumentError(ConfigError, TypeError):
    """An argument that is neither one of timm's nor a config field."""


def create(
    name: str, config: ModelConfig, pretrained: bool = False, /, **arguments: Any
) -> nn.Module:
    """Build the network registered as ``name`` from ``config``.

    ``arguments`` are timm's arguments or config fields to replace. Raises ``ConfigError`` for
    invalid names or values, and ``WeightsError`` if ``pretrained`` is true and no weights fit.
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
    """Return the arguments of timm's feature extractors: by default, all features."""
    if not isinstance(given, Mapping | type(None)):
        raise ConfigError(
            f"feature_cfg is {said(given)}; use a dict such as {{'feature_cls': 'fx'}}",
            "feature_cfg",
        )
    indices = tuple(range(len(feature_info(config))))
    # Feature modules are nested; timm only finds them if flattened.
    return {"out_indices": indices} | dict(given or {}) | {"flatten_sequential": True}


def _check_output_stride(config: ModelConfig, wanted: Any) -> None:
    """Refuse any output stride but the network's: ours lack the dilation that timm's have."""
    stride = feature_info(config)[-1]["reduction"]
    if wanted is not None and wanted != stride:
        raise ConfigError(
            f"output_stride is {said(wanted)}; use {stride}, since this network has no dilation",
            "output_stride",
        )


def _in_timms_terms(arguments: dict[str, Any]) -> dict[str, Any]:
    for ours, timms in _TIMM_TERMS.items():
        if ours in arguments and timms in arguments:
            raise ConfigError(f"{timms} is timm's name for {ours}: use only one of them", ours)
    return {_TIMM_TERMS.get(key, key): value for key, value in arguments.items()}


def _replaced(config: ModelConfig, fields: dict[str, Any]) -> ModelConfig:
    try:
        return config.replace(**fields)
    except ConfigError as error:
        if set(fields) <= set(FIELDS):
            raise
        raise UnknownArgumentError(str(error), *error.fields) from None
