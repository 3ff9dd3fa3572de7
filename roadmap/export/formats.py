"""The formats of a network as one file, by name. Imports no torch."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from models.text import said

if TYPE_CHECKING:
    from models.network import ModernResNet

#: Each format, which is also the ending of its files, with what computes in its check.
CHECKED_BY: dict[str, str] = {
    "py": "PyTorch alone",
    "safetensors": "models.load",
    "onnx": "onnxruntime",
    "pt2": "torch.export.load",
}


def verdict(form: str, difference: float) -> str:
    """What ``save`` has found out, as a sentence."""
    if difference == 0:
        return f"Checked with {CHECKED_BY[form]}: outputs equal the network's."
    share = f"{difference:.0e}".replace("e-0", "e-")
    return (
        f"Checked with {CHECKED_BY[form]}: outputs differ from the network's by at most "
        f"{share} of the largest."
    )


def save(
    form: str, network: ModernResNet, path: Path, facts: Mapping[str, Any], image_size: int
) -> float:
    """Write ``network`` (on the CPU, in evaluation mode) in the format ``form``, once checked.

    Every format has the config in it, and all but ``py`` the weights and ``facts`` about them
    (JSON values). Programs, ``onnx`` and ``pt2``, take any number of square images of
    ``image_size``. Returns the largest difference of an output of the file's network from this
    one's, relative to the largest output. Raises ``ExportError`` (a ``ValueError``) where the file
    would compute something else or cannot be made, ``OSError`` where it cannot be written.
    """
    match form:
        case "py":
            from roadmap.export.source import save_source

            return save_source(network.config, path, image_size)
        case "safetensors":
            from roadmap.export.weights import save_safetensors as save_file
        case "onnx":
            from roadmap.export.onnx import save_onnx as save_file
        case "pt2":
            from roadmap.export.program import save_pt2 as save_file
        case _:
            raise ValueError(f"format is {said(form)}; use one of {', '.join(CHECKED_BY)}")
    return save_file(network, path, facts, image_size)
