"""A freshly initialised network, alike wherever it is exported, and its weights as a file."""

from __future__ import annotations

from pathlib import Path

import torch

from models.config import ModelConfig
from models.network import ModernResNet
from roadmap.train.weights_file import save_weights


def initialised(config: ModelConfig, seed: int) -> ModernResNet:
    """``ModernResNet(config)`` in evaluation mode, its weights drawn on the CPU from ``seed``.

    The process's own random state stays as it was.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return ModernResNet(config).eval()


def save_safetensors(config: ModelConfig, path: Path, seed: int = 0) -> None:
    """Write fresh weights of ``config`` with the config and the seed as the file's metadata.

    ``models.weights.convert_state_dict`` and ``roadmap train --weights`` read it. Atomic; raises
    ``OSError`` when it cannot be written.
    """
    save_weights(path, initialised(config, seed).state_dict(), config, seed=seed)
