"""Networks of timm's registry and of torchvision as ONNX, checked with onnxruntime."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path

import torch
from torch import nn

from roadmap.export.check import BATCHES, compared
from roadmap.export.onnx import check_packages, computed_by_onnxruntime, exported
from roadmap.export.program import TRACED_BATCH, traced
from roadmap.files import write_bytes


def save_onnx(
    *, source: str, name: str, weights: str, path: Path, image_size: int
) -> tuple[float, bool]:
    """Write the network ``name`` for (N, 3, image_size, image_size) images, any N; it returns
    logits.

    ``source`` is ``torchvision`` or ``timm``, whose registry includes this project's networks.
    ``weights`` is a tag of timm or a name of torchvision, empty for random ones. Returns the
    largest difference of outputs, relative to the largest, and whether the weights are the trained
    ones: they are random if they cannot be downloaded. Raises ``ExportError`` if the network cannot
    be exported, ``OSError`` if the file cannot be written.
    """
    check_packages()
    network, trained = _network(source, name, weights)
    network.eval()
    images = torch.randn(
        max(TRACED_BATCH, *BATCHES), 3, image_size, image_size,
        generator=torch.Generator().manual_seed(0),
    )  # fmt: skip
    told = {"source": source, "name": name, "weights": weights if trained else "random"}
    content = exported(traced(network, images[:TRACED_BATCH]), told, "logits")
    found = compared(computed_by_onnxruntime(content), network, images)
    write_bytes(path, content)
    return found, trained


def _network(source: str, name: str, weights: str) -> tuple[nn.Module, bool]:
    """Return the network, and whether it has the trained weights."""
    if weights:
        try:
            return _built(source, name, weights), True
        except (OSError, RuntimeError, ValueError):  # what the libraries raise without a connection
            pass
    return _built(source, name, ""), False


def _built(source: str, name: str, weights: str) -> nn.Module:
    if source == "torchvision":
        from torchvision import models

        return models.get_model(name, weights=weights or None)
    import timm

    import roadmap.timm_models  # noqa: F401 - registers steps and sizes
    from roadmap.timm_models.weights import hub
    from roadmap.timm_names import PREFIX

    if not weights:
        return timm.create_model(name)
    ours = name.startswith(PREFIX)  # which asks the hub in the same way by itself
    with nullcontext() if ours else hub():
        return timm.create_model(f"{name}.{weights}", pretrained=True)
