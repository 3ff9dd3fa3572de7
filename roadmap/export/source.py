"""Export to a Python file that only needs PyTorch, executed before it is written."""

from __future__ import annotations

import builtins
from pathlib import Path
from typing import Any

import torch
from torch import nn

from models.config import ModelConfig
from models.network import ModernResNet
from models.source import network_source
from roadmap.export.check import ExportError, difference, fill
from roadmap.files import write_bytes

#: Modules that the file may import.
ALONE = ("collections", "torch")


def save_source(config: ModelConfig, path: Path, image_size: int = 224) -> float:
    """Write the Python code of ``config``, without weights.

    The code is first executed with no imports but PyTorch: its ``Network()`` must have the state
    dict keys and shapes of ``ModernResNet(config)`` and, with the same weights, the same outputs.
    Returns the largest difference between outputs, relative to the largest. Raises ``ExportError``
    if the check fails, ``OSError`` if the file cannot be written.
    """
    text = network_source(config)
    with torch.device("meta"):
        network, found = ModernResNet(config), _executed(text)()
    network = fill(network.to_empty(device="cpu")).eval()
    try:
        found.to_empty(device="cpu").load_state_dict(network.state_dict())
    except RuntimeError as error:
        reason = " ".join(str(error).split())
        raise ExportError(f"the file's network has other weights: {reason}") from None
    largest = difference(found.eval(), network, image_size)
    write_bytes(path, text.encode())
    return largest


def _executed(text: str) -> type[nn.Module]:
    """Execute the file and return its ``Network``."""
    names: dict[str, Any] = {"__name__": "exported"}
    names["__builtins__"] = {**vars(builtins), "__import__": _import}
    exec(compile(text, "network.py", "exec"), names)
    return names["Network"]


def _import(name: str, *arguments: Any) -> Any:
    if name.partition(".")[0] not in ALONE:
        raise ExportError(f"the file imports {name}, but may only need PyTorch")
    return builtins.__import__(name, *arguments)
