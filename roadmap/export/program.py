"""Export to a ``torch.export`` program, which runs without this project's code."""

from __future__ import annotations

import io
import warnings
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.export import Dim, ExportedProgram

from models.network import ModernResNet
from models.text import json_text
from roadmap.export.check import ExportError, difference, sample_images
from roadmap.files import write_bytes

#: Batch size while tracing; the program takes any number of images.
TRACED_BATCH = 2


def save_pt2(
    network: ModernResNet,
    path: Path,
    facts: Mapping[str, Any],
    image_size: int = 224,
    on_stage: Callable[[], object] = lambda: None,
) -> float:
    """Write ``network`` (on the CPU, in evaluation mode) for images of ``image_size`` pixels.

    ``torch.export.load(path).module()`` takes images (N, in_channels, image_size, image_size) and
    returns logits (N, num_classes) or, without a classifier, features (N, num_features); float32,
    any N. Its ``extra_files`` have the config and ``facts`` (JSON values). Returns the largest
    difference between outputs of the program, read back, and of ``network``, relative to the
    largest output. Raises ``ExportError`` if the exporter fails, outputs differ or the program
    needs more than PyTorch; ``OSError`` if the file cannot be written.
    """
    content = io.BytesIO()
    captured_network = captured(network, image_size)
    on_stage()
    torch.export.save(captured_network, content, extra_files=entries(network, facts))
    content.seek(0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # torch 2.11 warns about its own buffer
        program = torch.export.load(content)
    on_stage()
    if foreign := ", ".join(_foreign_operators(program)):
        raise ExportError(f"the program needs operators that PyTorch does not have: {foreign}")
    found = difference(program.module(), network, image_size)
    write_bytes(path, content.getbuffer())
    on_stage()
    return found


def captured(network: ModernResNet, image_size: int) -> ExportedProgram:
    """Capture ``network`` as a graph for any number of images. Raises ``ExportError``."""
    return traced(network, sample_images(network.config, image_size, TRACED_BATCH))


def traced(network: nn.Module, images: Tensor) -> ExportedProgram:
    """Capture any network as a graph for any number of images. Raises ``ExportError``."""
    shapes = ({0: Dim("batch")},)
    try:
        program = torch.export.export(network, (images,), dynamic_shapes=shapes, strict=False)
    except Exception as error:  # the exporter's errors have no common base class
        raise ExportError(f"PyTorch cannot export this network: {first_line(error)}") from error
    for node in program.graph.nodes:  # stack traces contain paths of this machine
        node.meta.pop("stack_trace", None)
    return program


def entries(network: ModernResNet, facts: Mapping[str, Any]) -> dict[str, str]:
    """Return the metadata of a file: the config and ``facts``, each as JSON."""
    return {
        "config": network.config.to_json(),
        **{name: json_text(value) for name, value in facts.items()},
    }


def first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


def _foreign_operators(program: ExportedProgram) -> Iterator[str]:
    """Yield operators that PyTorch does not have."""
    for node in program.graph.nodes:
        namespace = getattr(node.target, "namespace", "aten")  # Python's own operators have none
        if namespace != "aten":
            yield str(node.target)
