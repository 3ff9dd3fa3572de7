"""Entry points in timm's registry: ``roadmap_<size>`` and ``roadmap_<roadmap>_<step>``.

Entry points live in this module, with ``default_cfgs``, as timm's ``register_model`` expects it.
"""

from __future__ import annotations

import dataclasses
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING

from models.config import ModelConfig
from models.variants import TIMM_NAMES, VARIANTS

if TYPE_CHECKING:
    from timm.models import DefaultCfg, PretrainedCfg

    from models.timm_network import TimmNetwork

PREFIX = "roadmap_"
#: Where timm finds the layers that it adapts to other input channels and classes.
_OUR_LAYERS = {"first_conv": "stem.conv", "classifier": "head.fc"}

default_cfgs: dict[str, DefaultCfg] = {}
_LOCK = threading.Lock()


def register() -> None:
    """Adds the sizes and steps that timm's registry lacks. Imports timm, but no network."""
    from timm.models import generate_default_cfgs, is_model, register_model

    from roadmap.timm_names import step_configs

    sizes = {PREFIX + name: config for name, config in VARIANTS.items()}
    with _LOCK:
        for name, config in (sizes | step_configs(PREFIX)).items():
            if not is_model(name):
                default_cfgs.update(generate_default_cfgs(_pretrained_cfgs(name, config)))
                globals()[name] = _entry_point(name, config)
                register_model(globals()[name])


def _entry_point(name: str, config: ModelConfig) -> Callable[..., TimmNetwork]:
    def entry_point(pretrained: bool = False, **arguments):
        from models.timm_create import create

        return create(name, config, pretrained, **arguments)

    entry_point.__name__ = entry_point.__qualname__ = name
    return entry_point


def _pretrained_cfgs(name: str, config: ModelConfig) -> dict[str, PretrainedCfg]:
    """timm's own for the same network, with its tags and weights; one without weights else."""
    from timm.models import PretrainedCfg, get_arch_pretrained_cfgs

    twins = [TIMM_NAMES[variant] for variant in VARIANTS if VARIANTS[variant] == config]
    cfgs = {
        tagged.replace(twin, name): dataclasses.replace(cfg, **_OUR_LAYERS)
        for twin in twins
        for tagged, cfg in get_arch_pretrained_cfgs(twin).items()
    }
    return cfgs or {name: PretrainedCfg(pool_size=(7, 7), **_OUR_LAYERS)}
