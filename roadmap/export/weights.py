"""A network's weights as a safetensors file with the config in it."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from models.config import ModelConfig
from models.files import load, weights_content
from models.network import ModernResNet
from models.weights import check_weights
from roadmap.export.check import ExportError, difference
from roadmap.files import write_bytes


def initialized(config: ModelConfig, seed: int) -> ModernResNet:
    """``ModernResNet(config)`` in evaluation mode, its weights drawn on the CPU from ``seed``.

    The process's own random state stays as it was.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return ModernResNet(config).eval()


def save_safetensors(
    network: ModernResNet, path: Path, facts: Mapping[str, Any], image_size: int = 224
) -> float:
    """Write the weights of ``network`` (on the CPU), the config and ``facts`` (JSON values).

    ``models.load`` reads it, and ``roadmap evaluate --weights``. Equal weights and facts are equal
    files. Returns the largest difference of an output of the network read back, relative to the
    largest output. Raises ``ExportError`` where a weight is not finite, and where a weight or an
    output differs; ``OSError`` when the file cannot be written.
    """
    try:
        check_weights(network.state_dict())
    except ValueError as error:
        raise ExportError(str(error)) from None
    content = weights_content(network.state_dict(), network.config, **facts)
    again = _read_back(content)
    wanted, found = network.state_dict(), again.state_dict()
    for name, tensor in wanted.items():
        if not torch.equal(found[name], tensor):
            raise ExportError(f"{name}, read back, is not what was written")
    largest = difference(again, network, image_size)
    write_bytes(path, *content)
    return largest


def _read_back(content: tuple[bytes, bytes]) -> ModernResNet:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "weights.safetensors"
        path.write_bytes(b"".join(content))
        return load(path)
