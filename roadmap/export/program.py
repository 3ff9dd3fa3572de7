"""A network as a program of ``torch.export``, which runs without the code that built it."""

from __future__ import annotations

import io
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from torch.export import Dim, ExportedProgram

from models.network import ModernResNet
from models.text import json_text
from roadmap.export.check import ExportError, difference, sample_images
from roadmap.files import write_bytes

#: Images that the exporter is shown; the program takes any number.
TRACED_BATCH = 2


def save_pt2(
    network: ModernResNet, path: Path, facts: Mapping[str, Any], image_size: int = 224
) -> float:
    """Write ``network`` (on the CPU, in evaluation mode) for square images of ``image_size``.

    ``torch.export.load(path).module()`` takes images (N, in_channels, image_size, image_size) and
    returns logits (N, num_classes), or features (N, num_features) without a classifier; float32,
    any N. The config and ``facts`` (JSON values) are among its ``extra_files``. Returns the
    largest difference of an output of the program, read back, from the network's, relative to the
    largest output. Raises ``ExportError`` where the exporter fails, the two disagree or the
    program needs more than PyTorch; ``OSError`` when the file cannot be written.
    """
    content = io.BytesIO()
    torch.export.save(captured(network, image_size), content, extra_files=entries(network, facts))
    content.seek(0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # torch 2.11 warns of a buffer of its own
        program = torch.export.load(content)
    if foreign := ", ".join(_foreign_operators(program)):
        raise ExportError(f"the program would need more than PyTorch to run: {foreign}")
    found = difference(program.module(), network, image_size)
    write_bytes(path, content.getbuffer())
    return found


def captured(network: ModernResNet, image_size: int) -> ExportedProgram:
    """``network`` as a graph for any number of images. Raises ``ExportError``."""
    images = sample_images(network.config, image_size, TRACED_BATCH)
    shapes = ({0: Dim("batch")},)
    try:
        program = torch.export.export(network, (images,), dynamic_shapes=shapes, strict=False)
    except Exception as error:  # the exporter has no base class of its own
        raise ExportError(f"PyTorch cannot export this network: {first_line(error)}") from error
    for node in program.graph.nodes:  # with paths of this machine in them
        node.meta.pop("stack_trace", None)
    return program


def entries(network: ModernResNet, facts: Mapping[str, Any]) -> dict[str, str]:
    """What goes with a file: the config and ``facts``, each as JSON."""
    return {
        "config": network.config.to_json(),
        **{name: json_text(value) for name, value in facts.items()},
    }


def first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


def _foreign_operators(program: ExportedProgram) -> Iterator[str]:
    """Operators that PyTorch does not come with."""
    for node in program.graph.nodes:
        namespace = getattr(node.target, "namespace", "aten")  # Python's own operators have none
        if namespace != "aten":
            yield str(node.target)
