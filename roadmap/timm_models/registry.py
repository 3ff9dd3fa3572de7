"""Entry points in timm's registry: ``roadmap_<size>`` and ``roadmap_<roadmap>_<step>``.

timm's ``register_model`` expects the entry points in the same module as ``default_cfgs``.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from timm.models import (
    DefaultCfg,
    PretrainedCfg,
    generate_default_cfgs,
    get_arch_pretrained_cfgs,
    is_model,
    register_model,
)

from models.config import ModelConfig
from models.variants import TIMM_NAMES, VARIANTS
from roadmap.timm_names import PREFIX, step_configs

if TYPE_CHECKING:
    from torch import nn

#: Layers that timm adapts to other input channels and classes.
_OUR_LAYERS: dict[str, Any] = {"first_conv": "stem.conv", "classifier": "head.fc"}

default_cfgs: dict[str, DefaultCfg] = {}


def register() -> None:
    """Add sizes and steps to timm's registry, unless present. Builds no network."""
    sizes = {PREFIX + name: config for name, config in VARIANTS.items()}
    for name, config in (sizes | step_configs()).items():
        if not is_model(name):
            default_cfgs.update(generate_default_cfgs({**_pretrained_cfgs(name, config)}))
            globals()[name] = _entry_point(name, config)
            register_model(globals()[name])


def _entry_point(name: str, config: ModelConfig) -> Callable[..., nn.Module]:
    def entry_point(pretrained: bool = False, **arguments: Any) -> nn.Module:
        from roadmap.timm_models.create import create

        return create(name, config, pretrained, **arguments)

    entry_point.__name__ = entry_point.__qualname__ = name
    return entry_point


def _pretrained_cfgs(name: str, config: ModelConfig) -> dict[str, PretrainedCfg]:
    """Return timm's configs of the same network with tags and weights, or one without weights."""
    twins = [TIMM_NAMES[variant] for variant in VARIANTS if VARIANTS[variant] == config]
    cfgs = {
        tagged.replace(twin, name): dataclasses.replace(cfg, **_OUR_LAYERS)
        for twin in twins
        for tagged, cfg in get_arch_pretrained_cfgs(twin).items()
    }
    return cfgs or {name: PretrainedCfg(pool_size=(7, 7), **_OUR_LAYERS)}
