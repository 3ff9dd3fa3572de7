"""Names in timm's registry: ``roadmap_<size>`` and ``roadmap_<roadmap>_<step>``."""

from __future__ import annotations

from models.config import ModelConfig
from roadmap.steps import ROADMAPS

PREFIX = "roadmap_"


def step_configs() -> dict[str, ModelConfig]:
    """Return the config of each step by name, for roadmaps that change the network."""
    return {
        f"{PREFIX}{roadmap.name}_{key}": roadmap.config(key)
        for roadmap in ROADMAPS.values()
        if roadmap.changes_networks
        for key in roadmap.keys
    }
