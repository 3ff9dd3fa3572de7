"""Export of weights to a safetensors file that contains the config."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping
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
    """Return ``ModernResNet(config)`` in evaluation mode, with random weights from ``seed``.

    Weights are drawn on the CPU; the global random state is unchanged.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return ModernResNet(config).eval()


def save_safetensors(
    network: ModernResNet,
    path: Path,
    facts: Mapping[str, Any],
    image_size: int = 224,
    on_stage: Callable[[], object] = lambda: None,
) -> float:
    """Write the weights of ``network`` (on the CPU), the config and ``facts`` (JSON values).

    ``models.load`` and the command ``evaluate`` read the file. Equal weights and facts give equal
    files. Returns the largest difference between outputs of the network read back and of
    ``network``, relative to the largest output. Raises ``ExportError`` if a weight is not finite
    or a weight or output differs; ``OSError`` if the file cannot be written.
    """
    try:
        check_weights(network.state_dict())
    except ValueError as error:
        raise ExportError(str(error)) from None
    content = weights_content(network.state_dict(), network.config, **facts)
    on_stage()
    again = _read_back(content)
    wanted, found = network.state_dict(), again.state_dict()
    for name, tensor in wanted.items():
        if not torch.equal(found[name], tensor):
            raise ExportError(f"{name} differs after reading the file back")
    largest = difference(again, network, image_size)
    write_bytes(path, *content)
    on_stage()
    return largest


def _read_back(content: tuple[bytes, bytes]) -> ModernResNet:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "weights.safetensors"
        path.write_bytes(b"".join(content))
        return load(path)
