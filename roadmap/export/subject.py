"""The network to export: its weights and their origin."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from models.config import ModelConfig
from models.files import network_of, read_weights
from models.network import ModernResNet
from models.spec import network_spec, placed_layers
from models.text import shortened
from roadmap.errors import RefusedError
from roadmap.export.check import ExportError
from roadmap.export.weights import initialized
from roadmap.runs.record import as_names
from roadmap.train.data.class_names import label_names
from roadmap.train.settings import recorded_view

#: Default image size in pixels, if neither the command nor the recipe of the weights sets it.
IMAGE_SIZE = 224


@dataclass(frozen=True, kw_only=True)
class Subject:
    """A network on the CPU in evaluation mode, for square images of ``image_size`` pixels.

    ``facts`` are JSON values about its weights; ``origin`` describes where they are from.
    """

    network: ModernResNet
    origin: str
    image_size: int
    facts: Mapping[str, Any] = field(default_factory=dict)


def fresh(
    config: ModelConfig, seed: int, image_size: int | None, facts: Mapping[str, Any]
) -> Subject:
    """Return ``config`` with random weights from ``seed``.

    Raises ``ExportError`` if the image is too small for the network.
    """
    size = _checked_size(config, image_size or IMAGE_SIZE)
    return Subject(
        network=initialized(config, seed),
        origin=f"random initial weights from seed {seed}",
        image_size=size,
        facts={**facts, "seed": seed},
    )


def from_file(
    path: Path,
    config: ModelConfig | None,
    num_classes: int | None,
    image_size: int | None,
    facts: Mapping[str, Any],
) -> Subject:
    """Return the network with the weights in ``path``; ``config`` is for files without a config.

    If ``num_classes`` is 0, the classifier is omitted. The default ``image_size`` is the test size
    of the file's recipe, if any. Raises ``ValueError`` if the file cannot be read, its weights do
    not fit, or the image is too small.
    """
    tensors, own, told = read_weights(path)
    if own is not None and config is not None:
        raise ExportError(
            f"{shortened(path)} records its network: omit --step and --config to export that"
        )
    config = own or config
    if config is None:
        raise ExportError(
            f"{shortened(path)} does not record its network: add --step KEY or --config FILE"
        )
    if num_classes is not None:
        config = config.replace(num_classes=num_classes)
    try:
        known = recorded_view(told["recipe"]).test_size if "recipe" in told else IMAGE_SIZE
    except RefusedError as error:
        raise ExportError(f"{shortened(path)}: {error}") from None
    size = _checked_size(config, image_size or known)
    try:
        network = network_of(tensors, config)
    except ValueError as error:
        raise ExportError(f"{shortened(path)}: {error}") from None
    facts = {**facts, **told}
    names = as_names(facts.pop("class_names", None)) or label_names(path)
    if names is not None and len(names) == config.num_classes:  # not with another classifier
        facts["class_names"] = names
    origin = f"the weights in {shortened(path)}"
    return Subject(network=network, origin=origin, image_size=size, facts=facts)


def _checked_size(config: ModelConfig, image_size: int) -> int:
    try:
        list(placed_layers(network_spec(config), image_size))
    except ValueError as error:
        raise ExportError(f"--image-size: at {image_size} pixels {error}") from None
    return image_size
