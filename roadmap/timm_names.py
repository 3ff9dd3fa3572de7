"""The steps of the architecture roadmaps under the names that timm knows them by."""

from __future__ import annotations

from models.config import ModelConfig
from roadmap.steps import ROADMAPS, Roadmap


def step_configs(prefix: str) -> dict[str, ModelConfig]:
    """``<prefix><roadmap>_<step>`` and its network, of each roadmap that changes the network."""
    return {
        f"{prefix}{roadmap.name}_{key}": roadmap.config(key)
        for roadmap in ROADMAPS.values()
        if _changes_network(roadmap)
        for key in roadmap.keys
    }


def _changes_network(roadmap: Roadmap) -> bool:
    return any(step.config_changes for step in roadmap.steps)
