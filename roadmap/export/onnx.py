"""A network as ONNX, written only when onnxruntime computes what the network does.

Needs the packages of the extra ``onnx``: ``pip install -e '.[onnx]'``.
"""

from __future__ import annotations

import contextlib
import importlib.util
import io
import json
import logging
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

from models.config import ModelConfig
from roadmap.files import write_bytes

if TYPE_CHECKING:
    import torch

    from models.network import ModernResNet

PACKAGES = ("onnx", "onnxscript", "onnxruntime")
#: Images of the check; the file takes any number.
CHECKED_BATCH = 2
#: Largest difference of an output, over the largest output: float32 summed in another order.
TOLERANCE = 1e-3


class ExportError(ValueError):
    """A network that cannot be exported; the sentence says why and what would help."""


def missing_packages() -> tuple[str, ...]:
    """Those of ``PACKAGES`` that are not installed."""
    return tuple(name for name in PACKAGES if importlib.util.find_spec(name) is None)


def save_onnx(config: ModelConfig, path: Path, seed: int = 0, image_size: int = 224) -> float:
    """Write ``config`` with ``save_safetensors``' weights for square images of ``image_size``.

    Input ``images`` (N, in_channels, image_size, image_size), output ``logits`` (N, num_classes),
    or ``features`` (N, num_features) without a classifier; float32, any N. The config and the
    seed are in the metadata. Returns the largest difference of an output of onnxruntime from the
    network's, relative to the largest output. Raises ``ExportError`` where packages are missing,
    the exporter fails, or the two disagree; ``OSError`` when the file cannot be written.
    """
    missing = missing_packages()
    if missing:
        raise ExportError(
            f"ONNX needs {', '.join(missing)}, not installed here: pip install -e '.[onnx]'"
        )
    import torch

    from roadmap.export.weights import initialised

    network = initialised(config, seed)
    generator = torch.Generator().manual_seed(seed)
    shape = (CHECKED_BATCH, config.in_channels, image_size, image_size)
    images = torch.randn(shape, generator=generator)
    content = _exported(network, images, seed)
    difference = _difference(content, network, images)
    if not difference <= TOLERANCE:
        raise ExportError(
            f"onnxruntime computes something else than the network: outputs differ by up to "
            f"{difference:.1e} of the largest, where {TOLERANCE:.0e} is allowed"
        )
    write_bytes(path, content)
    return difference


def _exported(network: ModernResNet, images: torch.Tensor, seed: int) -> bytes:
    import torch

    output = "logits" if network.config.num_classes else "features"
    try:
        with _quiet():
            program = torch.onnx.export(
                network,
                (images,),
                dynamo=True,
                input_names=["images"],
                output_names=[output],
                dynamic_shapes=({0: torch.export.Dim.DYNAMIC},),
                verbose=False,
            )
    except Exception as error:  # the exporter has no base class of its own
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise ExportError(f"PyTorch cannot export this network to ONNX: {reason}") from error
    model = program.model_proto
    for name, value in (("config", network.config.to_json()), ("seed", json.dumps(seed))):
        model.metadata_props.add(key=name, value=value)
    return model.SerializeToString()


def _difference(content: bytes, network: ModernResNet, images: torch.Tensor) -> float:
    import numpy
    import onnxruntime
    import torch

    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    (found,) = session.run(None, {"images": images.numpy()})
    with torch.inference_mode():
        wanted = network(images).numpy()
    largest = float(numpy.abs(wanted).max())
    return float(numpy.abs(found - wanted).max()) / (largest or 1.0)


@contextlib.contextmanager
def _quiet():
    """The exporter reports each of its stages and warns of its own internals."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)
