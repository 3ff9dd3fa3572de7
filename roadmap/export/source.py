"""A network as a file of Python that needs PyTorch alone, executed before it is written."""

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

#: What the file may import.
ALONE = ("collections", "torch")


def save_source(config: ModelConfig, path: Path, image_size: int = 224) -> float:
    """Write the Python file of ``config``, its ``Network`` without weights.

    Executed where nothing but PyTorch can be imported, ``Network()`` has the keys and shapes of
    ``ModernResNet(config)`` and, with the same weights, its outputs. Returns their largest
    difference, relative to the largest output. Raises ``ExportError`` where it is not so,
    ``OSError`` when the file cannot be written.
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
    """The file's ``Network``."""
    names: dict[str, Any] = {"__name__": "exported"}
    names["__builtins__"] = {**vars(builtins), "__import__": _import}
    exec(compile(text, "network.py", "exec"), names)
    return names["Network"]


def _import(name: str, *arguments: Any) -> Any:
    if name.partition(".")[0] not in ALONE:
        raise ExportError(f"the file imports {name}, and is to need PyTorch alone")
    return builtins.__import__(name, *arguments)
