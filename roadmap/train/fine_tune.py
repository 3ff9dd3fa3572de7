"""Trained weights that fine-tuning starts from, fitted to other classes and channels.

The small new classifier follows Liu et al. 2022, Appendix A, and the official release
(``head_init_scale``). ``optimizer`` has the slower and frozen layers.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
from timm.models import adapt_input_conv
from torch import Tensor

from models.config import ModelConfig
from models.files import WeightsFileError, read_weights
from models.network import ModernResNet
from models.text import ended, said, shortened
from models.variants import FURTHER, VARIANTS
from models.weights import convert_state_dict
from roadmap.errors import RefusedError
from roadmap.measure.networks import UnknownNetworkError, check, described
from roadmap.runs.record import WEIGHTS_OF, RunStart, as_names
from roadmap.text import counted
from roadmap.train.data.class_names import label_names, places
from roadmap.train.settings import WEIGHTS_ENDINGS, Start

#: Factor of a new classifier's random weights.
HEAD_SCALE = 1e-3
#: A run's weights after its last epoch.
RUN_WEIGHTS = WEIGHTS_OF["top1"]
STEM, HEAD = "stem.conv.weight", ("head.fc.weight", "head.fc.bias")
#: Keys of the classifier's bias in every source, perhaps with a prefix.
CLASSIFIERS = ("fc.bias", "head.bias", "classifier.2.bias")


class StartWeights(NamedTuple):
    """Trained weights of ``ModernResNet(config)``, read for ``start``.

    ``network`` describes the network, ``source`` the weights. ``class_names`` are in the order of
    the outputs, or None if unknown.
    """

    start: Start
    tensors: dict[str, Tensor]
    config: ModelConfig
    network: str
    source: str
    sha256: str
    class_names: list[str] | None
    #: What the file records about the weights.
    facts: Mapping[str, Any] = {}

    def keeps_head(self, classes: Sequence[str] | None) -> bool:
        """Whether the data has the same ``classes`` by name, in any order."""
        if not classes or self.class_names is None:
            return False
        return len(set(classes)) == len(classes) and sorted(classes) == sorted(self.class_names)

    def recorded(self, classes: Sequence[str] | None) -> RunStart:
        """Return what run.json records about the start."""
        return RunStart(
            weights=self.start.weights,
            sha256=self.sha256,
            network=self.network,
            head="kept" if self.keeps_head(classes) else "new",
            layer_decay=self.start.layer_decay,
            frozen_stages=self.start.frozen_stages,
        )

    def load_into(self, network: ModernResNet, classes: Sequence[str] | None) -> str:
        """Load the weights into ``network``, built for the classes and channels of the data.

        Its random classifier stays and is scaled down, unless ``keeps_head``. Returns a sentence
        about it for the log. Raises ``RefusedError`` if the input channels cannot be converted.
        """
        stem = _stem(self.tensors[STEM], network.config.in_channels, self.source)
        if self.keeps_head(classes):
            about_head = "its classifier is kept, since the classes are the same"
            order = places(classes or (), self.class_names or (), ("the data", self.source))
            head = {name: self.tensors[name][torch.from_numpy(order)] for name in HEAD}
        else:
            about_head, own = "the classifier is new", network.state_dict()
            head = {name: HEAD_SCALE * own[name] for name in HEAD}
        network.load_state_dict(self.tensors | head | {STEM: stem})
        return f"starting from {self.source} ({self.network}); {about_head}"


def read_start(start: Start) -> StartWeights:
    """Read the weights of ``start``. A name in timm is downloaded.

    Raises ``RefusedError``, also if the network has too few stages to freeze.
    """
    begin = _read(start)
    stages = len(begin.config.depths)
    if start.frozen_stages > stages:
        raise RefusedError(
            f"--frozen-stages is {start.frozen_stages}, but the network in {begin.source} has "
            f"{counted(stages, 'stage')}; use 0 to {stages}"
        )
    return begin


def _read(start: Start) -> StartWeights:
    path = Path(start.weights)
    if os.path.isdir(path):  # noqa: PTH112 - pathlib raises an error for a name that is too long
        path /= RUN_WEIGHTS
        if not path.is_file():
            raise RefusedError(
                f"--weights is {said(start.weights)}, a folder without {RUN_WEIGHTS}: use the "
                "folder of a finished run, or a file"
            )
    elif not os.path.isfile(path) and path.suffix not in WEIGHTS_ENDINGS:  # noqa: PTH113
        return _from_timm(start)
    return _from_file(path, start)


def _from_file(path: Path, start: Start) -> StartWeights:
    source, network = shortened(path), start.network
    try:
        tensors, config, facts = read_weights(path)
        digest = _file_sha256(path)
    except WeightsFileError as error:
        raise RefusedError(str(error)) from None
    except OSError as error:
        raise RefusedError(f"{source} cannot be read: {error.strerror or error}") from None
    names = as_names(facts.get("class_names")) or label_names(path)
    if config is not None and network is not None:
        raise RefusedError(f"{source} records its network: omit --step")
    if config is None and network is None:
        config, title, ours = _recognized(tensors, source)
    else:
        config = config or (network and network.replace(num_classes=_classes(tensors)))
        assert config is not None
        title = described(config, facts)
        try:
            ours = convert_state_dict(tensors, config)
        except ValueError as error:
            raise RefusedError(f"{source}: {error}") from None
    if names is not None and len(names) != config.num_classes:
        names = None
    return StartWeights(start, ours, config, title, source, digest, names, facts)


def _from_timm(start: Start) -> StartWeights:
    """Download weights through timm."""
    name = start.weights.removeprefix("timm:")
    if "/" in name or os.sep in name:
        raise RefusedError(
            f"--weights is {said(start.weights)}, which does not exist: use a file, the folder of "
            "a finished run, or the name of a network of timm"
        )
    try:
        check(f"timm:{name}")
    except UnknownNetworkError as error:
        raise RefusedError(
            f"--weights is {said(start.weights)}, which is neither a file nor a folder, and "
            f"{ended(error)}"
        ) from None
    if start.network is not None:
        raise RefusedError(f"timm's {name} is a network of its own: omit --step")
    import timm

    from roadmap.timm_models.weights import hub

    try:
        with hub():
            tensors = timm.create_model(name, pretrained=True).state_dict()
    except Exception as error:  # the hub's, the network's and timm's own errors
        reason = shortened(str(error).partition("\n")[0] or type(error).__name__)
        raise RefusedError(
            f"timm's weights {name} could not be loaded ({reason}): check the connection, or use "
            "--weights FILE"
        ) from None
    config, title, ours = _recognized(tensors, f"timm's {name}")
    return StartWeights(start, ours, config, title, f"timm's {name}", _sha256(ours), None)


def _recognized(
    tensors: dict[str, Tensor], source: str
) -> tuple[ModelConfig, str, dict[str, Tensor]]:
    """Return the published network that ``tensors`` fit, its name and the converted tensors."""
    classes = _classes(tensors)
    networks = VARIANTS | FURTHER
    for name, variant in networks.items():
        config = variant.replace(num_classes=classes)
        try:
            return config, name, convert_state_dict(tensors, config)
        except ValueError:
            continue
    raise RefusedError(
        f"{source} does not record its network and fits none of {', '.join(networks)}. For the "
        "network of a step, add --step KEY"
    )


def _classes(tensors: Mapping[str, Any]) -> int:
    """Return the number of outputs of the classifier in ``tensors``, or 0 if there is none."""
    found = (value for key, value in tensors.items() if key.endswith(CLASSIFIERS))
    return next((len(value) for value in found if isinstance(value, Tensor) and value.ndim), 0)


def _stem(weight: Tensor, channels: int, source: str) -> Tensor:
    """Convert the first convolution (O, C, k, k) from RGB as timm does."""
    if weight.shape[1] == channels:
        return weight
    if weight.shape[1] != 3:
        raise RefusedError(
            f"{source} takes images of {counted(weight.shape[1], 'channel')}, but the data has "
            f"{channels}"
        )
    return torch.as_tensor(adapt_input_conv(channels, weight))


def _file_sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while part := file.read(2**20):
            digest.update(part)
    return digest.hexdigest()


def _sha256(tensors: dict[str, Tensor]) -> str:
    digest = hashlib.sha256()
    for name, tensor in sorted(tensors.items()):
        digest.update(name.encode())
        digest.update(tensor.contiguous().numpy().tobytes())
    return digest.hexdigest()
