"""The names that timm knows the networks by: ``roadmap_<size>``, ``roadmap_<roadmap>_<step>``."""

from __future__ import annotations

from models.config import ModelConfig
from roadmap.steps import ROADMAPS

PREFIX = "roadmap_"


def step_configs() -> dict[str, ModelConfig]:
    """Name and network of each step, for each roadmap that changes the network."""
    return {
        f"{PREFIX}{roadmap.name}_{key}": roadmap.config(key)
        for roadmap in ROADMAPS.values()
        if roadmap.changes_networks
        for key in roadmap.keys
    }
