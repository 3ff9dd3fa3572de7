"""The steps of the architecture roadmaps under the names that timm knows them by."""

from __future__ import annotations

from models.config import ModelConfig
from roadmap.steps import ROADMAPS


def step_configs(prefix: str) -> dict[str, ModelConfig]:
    """``<prefix><roadmap>_<step>`` and its network, of each roadmap that changes the network."""
    return {
        f"{prefix}{roadmap.name}_{key}": roadmap.config(key)
        for roadmap in ROADMAPS.values()
        if roadmap.changes_networks
        for key in roadmap.keys
    }
