"""Weights as one safetensors file that says what network they are of."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from models.config import ConfigError, ModelConfig
from roadmap.files import write_bytes
from roadmap.train.errors import RefusedError


def save_weights(
    path: Path, state_dict: Mapping[str, Tensor], config: ModelConfig, **facts: Any
) -> None:
    """Write ``state_dict`` with ``config`` and ``facts`` (JSON values) as the file's metadata.

    Atomic; raises ``OSError`` when it cannot be written.
    """
    metadata = {name: json.dumps(value) for name, value in facts.items()}
    metadata |= {"format": "pt", "config": config.to_json()}
    tensors = {name: tensor.cpu().contiguous() for name, tensor in state_dict.items()}
    write_bytes(path, *_ordered(save(tensors, metadata)))


def load_weights(path: Path) -> tuple[dict[str, Tensor], ModelConfig | None, dict[str, Any]]:
    """Tensors, config (None in a file that is not ours) and the other facts of a file.

    Raises ``RefusedError`` for a file that is missing or no safetensors file.
    """
    try:
        with safe_open(path, framework="pt") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            metadata = file.metadata() or {}
    except (OSError, SafetensorError) as error:
        reason = "no such file" if isinstance(error, FileNotFoundError) else error
        raise RefusedError(f"{path} is not a readable safetensors file: {reason}") from None
    if "config" not in metadata:
        return tensors, None, {}
    try:
        config = ModelConfig.from_json(metadata["config"])
        facts = {
            name: json.loads(value)
            for name, value in metadata.items()
            if name not in ("config", "format")
        }
    except (ConfigError, ValueError) as error:
        raise RefusedError(f"the metadata of {path} cannot be read: {error}") from None
    return tensors, config, facts


def _ordered(content: bytes) -> tuple[bytes, bytes]:
    """A safetensors file's header and data, the metadata sorted: the library writes it in any
    order, and equal weights should be equal files."""
    end = 8 + int.from_bytes(content[:8], "little")
    header = json.loads(content[8:end])
    header["__metadata__"] = dict(sorted(header["__metadata__"].items()))
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)  # so that the data stays aligned
    return len(text).to_bytes(8, "little") + text, content[end:]
