"""Weights as safetensors files that record which network they hold.

The metadata has the config as JSON under ``config``; other entries describe the weights.
``safetensors.torch.save_file(network.state_dict(), path, metadata={"config":
network.config.to_json()})`` writes such a file.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch
from safetensors import safe_open
from safetensors.torch import save
from torch import Tensor

from models.config import ConfigError, ModelConfig
from models.network import ModernResNet
from models.text import json_text, shortened
from models.weights import convert_state_dict
from models.weights.checkpoints import CheckpointError, read_checkpoint


class WeightsFileError(ValueError):
    """A file without a usable network; the message names it and says what would help."""


class WeightsFile(NamedTuple):
    """The content of a weights file. ``config`` is None if the file does not record it."""

    tensors: dict[str, Tensor]
    config: ModelConfig | None
    facts: dict[str, Any]


def load(path: str | Path, device: torch.device | str = "cpu") -> ModernResNet:
    """Rebuild the network in ``path``, a safetensors file with a config: evaluation mode, float32.

    Raises ``WeightsFileError`` (a ``ValueError``) if the file is missing, is not a weights file,
    has no config, or has tensors that do not fit the config or are not finite.
    """
    tensors, config, _ = read_weights(path)
    if config is None:
        raise WeightsFileError(
            f"{shortened(path)} has weights but no config: build the network with "
            "ModernResNet(config) and load models.weights.convert_state_dict(tensors, config)"
        )
    try:
        return network_of(tensors, config, device)
    except ValueError as error:
        raise WeightsFileError(f"{shortened(path)} cannot be loaded: {error}") from None


def network_of(
    tensors: Mapping[str, Tensor], config: ModelConfig, device: torch.device | str = "cpu"
) -> ModernResNet:
    """Build ``ModernResNet(config)`` in evaluation mode with weights from any known source.

    Draws no random numbers. Raises ``ValueError`` where ``convert_state_dict`` does.
    """
    weights = convert_state_dict(tensors, config)
    with torch.device("meta"):
        network = ModernResNet(config)
    network.to_empty(device=device).load_state_dict(weights)
    return network.eval()


def read_weights(path: str | Path) -> WeightsFile:
    """Read the tensors, config and metadata of a safetensors or ``torch.save`` file.

    A ``torch.save`` file is read without running any code in it. If its state dict has a name
    there (such as ``state_dict_ema``), ``facts`` is ``{"part": name}``. Raises
    ``WeightsFileError`` if the file is missing or of another kind, or its config is invalid.
    """
    try:
        with safe_open(path, framework="pt") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            metadata = file.metadata() or {}
    except OSError as error:
        raise _unreadable(path, error) from None
    except Exception as error:  # the library's errors, and others for types that torch lacks
        return _read_checkpoint(path, error)
    if "config" not in metadata:
        return WeightsFile(tensors, None, {})
    try:
        config = ModelConfig.from_json(metadata["config"])
    except ConfigError as error:
        raise WeightsFileError(
            f"{shortened(path)} has a config that this version of models cannot build: {error}"
        ) from None
    facts = {name: _fact(metadata[name]) for name in metadata if name not in ("config", "format")}
    return WeightsFile(tensors, config, facts)


def weights_content(
    state_dict: Mapping[str, Tensor], config: ModelConfig, **facts: Any
) -> tuple[bytes, bytes]:
    """Return the bytes, in two parts, of a file with ``config`` and ``facts`` (JSON) as metadata.

    Equal weights and facts give equal bytes.
    """
    metadata = {name: json_text(value) for name, value in facts.items()}
    metadata |= {"format": "pt", "config": config.to_json()}
    tensors = {name: tensor.cpu().contiguous() for name, tensor in state_dict.items()}
    return _ordered(save(tensors, metadata))


def _read_checkpoint(path: str | Path, before: Exception) -> WeightsFile:
    """Read ``path`` as a ``torch.save`` file, after ``before`` was raised as safetensors."""
    try:
        tensors, part = read_checkpoint(path)
    except OSError as error:
        raise _unreadable(path, error) from None
    except CheckpointError as error:
        if not str(error):
            raise _unreadable(path, before) from None
        raise WeightsFileError(f"{shortened(path)} is {error}") from None
    return WeightsFile(tensors, None, {"part": part} if part else {})


def _unreadable(path: str | Path, error: Exception) -> WeightsFileError:
    fault = "is not a safetensors file, or is damaged"
    if isinstance(error, FileNotFoundError):
        fault = "does not exist"
    elif Path(path).is_dir():
        return WeightsFileError(f"{shortened(path)} is a folder; use the file in it")
    elif isinstance(error, OSError):
        fault = f"cannot be read ({error.strerror or shortened(error)})"
    return WeightsFileError(
        f"{shortened(path)} {fault}; use a safetensors or torch.save file (.pth, .pth.tar, .bin)"
    )


def _fact(text: str) -> Any:
    """Parse a metadata entry; other programs write plain text there."""
    try:
        return json.loads(text, parse_constant=_no_constant)
    except (ValueError, RecursionError):
        return text


def _no_constant(name: str) -> None:
    raise ValueError(f"JSON has no {name}")


def _ordered(content: bytes) -> tuple[bytes, bytes]:
    """Return a safetensors file's header and data with sorted metadata, since the library writes
    it in any order."""
    end = 8 + int.from_bytes(content[:8], "little")
    header = json.loads(content[8:end])
    header["__metadata__"] = dict(sorted(header["__metadata__"].items()))
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)  # so that the data stays aligned
    return len(text).to_bytes(8, "little") + text, content[end:]
