"""Export formats that are a single file. Imports no torch."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from models.text import said

if TYPE_CHECKING:
    from models.network import ModernResNet

#: Each format, which is also its file extension, and the program that checks it.
CHECKED_BY: dict[str, str] = {
    "py": "PyTorch alone",
    "safetensors": "models.load",
    "onnx": "onnxruntime",
    "pt2": "torch.export.load",
}

#: How often ``save`` calls ``on_stage``: what the formats that take a moment are made of.
STAGES: dict[str, int] = {"safetensors": 2, "onnx": 3, "pt2": 3}


def check_text(form: str, difference: float) -> str:
    """Return a sentence about the ``difference`` that ``save`` returned."""
    if difference == 0:
        return f"Checked with {CHECKED_BY[form]}: outputs equal the network's."
    share = f"{difference:.0e}".replace("e-0", "e-")
    return (
        f"Checked with {CHECKED_BY[form]}: outputs differ from the network's by at most "
        f"{share} of the largest."
    )


def save(
    form: str,
    network: ModernResNet,
    path: Path,
    facts: Mapping[str, Any],
    image_size: int,
    on_stage: Callable[[], object] = lambda: None,
) -> float:
    """Check and write ``network`` (on the CPU, in evaluation mode) in the format ``form``.

    All formats contain the config; all but ``py`` contain the weights and ``facts`` about them
    (JSON values). ``onnx`` and ``pt2`` take any number of square images of ``image_size`` pixels.
    ``on_stage`` is called ``STAGES`` times. Returns the largest difference between outputs of the
    file and of ``network``, relative to the largest output. Raises ``ExportError`` (a
    ``ValueError``) if outputs differ or the export fails, ``OSError`` if the file cannot be
    written.
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
    return save_file(network, path, facts, image_size, on_stage)
