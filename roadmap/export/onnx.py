"""Export to ONNX, checked with onnxruntime.

Needs the packages of the ``onnx`` extra.
"""

from __future__ import annotations

import contextlib
import io
import logging
import warnings
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.export import ExportedProgram

from models.network import ModernResNet
from roadmap.export.check import ExportError, difference
from roadmap.export.packages import onnx_refusal
from roadmap.export.program import captured, entries, first_line
from roadmap.files import write_bytes


def save_onnx(
    network: ModernResNet,
    path: Path,
    facts: Mapping[str, Any],
    image_size: int = 224,
    on_stage: Callable[[], object] = lambda: None,
) -> float:
    """Write ``network`` (on the CPU, in evaluation mode) for images of ``image_size`` pixels.

    The input is ``images`` (N, in_channels, image_size, image_size), the output ``logits`` (N,
    num_classes) or, without a classifier, ``features`` (N, num_features); float32, any N. The
    metadata has the config and ``facts`` (JSON values). Returns the largest difference between
    outputs of onnxruntime and of ``network``, relative to the largest output. Raises
    ``ExportError`` if packages are missing, the exporter fails or outputs differ; ``OSError`` if
    the file cannot be written.
    """
    check_packages()
    output = "logits" if network.config.num_classes else "features"
    program = captured(network, image_size)
    on_stage()
    content = exported(program, entries(network, facts), output)
    on_stage()
    found = difference(computed_by_onnxruntime(content), network, image_size)
    write_bytes(path, content)
    on_stage()
    return found


def check_packages() -> None:
    """Raise ``ExportError`` if a package is missing."""
    if refusal := onnx_refusal():
        raise ExportError(refusal)


def exported(program: ExportedProgram, metadata: Mapping[str, str], output: str) -> bytes:
    """Return ``program`` of any number of images as an ONNX file. Raises ``ExportError``."""
    try:
        with _quiet():
            converted = torch.onnx.export(
                program,
                dynamo=True,
                dynamic_shapes=({0: "batch"},),
                input_names=["images"],
                output_names=[output],
                verbose=False,
            )
            assert converted is not None  # with dynamo=True
            model = converted.model_proto
            for name, text in metadata.items():
                model.metadata_props.add(key=name, value=text)
            return model.SerializeToString()  # fails past 2 GB
    except Exception as error:  # the exporter's errors have no common base class
        reason = first_line(error)
        raise ExportError(f"PyTorch cannot export this network to ONNX: {reason}") from error


def computed_by_onnxruntime(content: bytes) -> Callable[[Tensor], Tensor]:
    """Return a function that runs an ONNX file."""
    import onnxruntime

    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])

    def computed(images: Tensor) -> Tensor:
        (outputs,) = session.run(None, {"images": images.numpy()})
        return torch.from_numpy(outputs)

    return computed


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Silence the exporter, which reports each stage and warns about its internals."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)
