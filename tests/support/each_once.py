"""Networks that several names describe, tested once."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import pytest

from models import VARIANTS, ModelConfig
from roadmap.steps import ROADMAPS

#: Every step that changes the network, by roadmap and key.
STEPS = {
    f"{name}-{key}": ROADMAPS[name].config(key)
    for name in ("resnet50", "resnet200")
    for key in ROADMAPS[name].keys
}
STEPS_AND_VARIANTS = STEPS | VARIANTS


def each_once(
    configs: Iterable[tuple[str, ModelConfig]],
    change: Callable[[ModelConfig], ModelConfig] = lambda config: config,
) -> list:
    """Parameters for pytest: the distinct results of ``change``, each by its first name."""
    found: dict[ModelConfig, str] = {}
    for name, config in configs:
        found.setdefault(change(config), name)
    return [pytest.param(config, id=name) for config, name in found.items()]
