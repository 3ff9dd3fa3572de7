"""Fine-tuning: trained weights for other classes, slower and frozen layers.

The groups of layers and the small new classifier follow Liu et al. 2022, Appendix A, and the
official release (``optim_factory.py``, ``head_init_scale``).
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
from timm.models import adapt_input_conv
from torch import Tensor, nn

from models.config import ModelConfig
from models.files import WeightsFileError, read_weights
from models.network import ModernResNet
from models.text import ended, said, shortened
from models.variants import VARIANTS
from models.weights import convert_state_dict
from roadmap.errors import RefusedError
from roadmap.measure.networks import UnknownNetworkError, check
from roadmap.runs.record import WEIGHTS_OF, as_names
from roadmap.text import counted
from roadmap.train.data.class_names import label_names, places
from roadmap.train.settings import WEIGHTS_ENDINGS, Settings, Start

#: Blocks per group of layers.
BLOCKS = 3
#: Factor of a new classifier's random weights.
HEAD_SCALE = 1e-3
#: A run's weights after its last epoch.
RUN_WEIGHTS = WEIGHTS_OF["top1"]
STEM, HEAD = "stem.conv.weight", ("head.fc.weight", "head.fc.bias")
#: Keys of the classifier's bias in every source, perhaps with a prefix.
CLASSIFIERS = ("fc.bias", "head.bias", "classifier.2.bias")
_PLACE = re.compile(r"stages\.(\d+)\.(?:blocks\.(\d+)\.)?")


class StartWeights(NamedTuple):
    """Trained weights of ``ModernResNet(config)``.

    ``network`` describes the network, ``source`` the weights. ``class_names`` are in the order of
    the outputs, or None if unknown.
    """

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

    def sentence(self, classes: Sequence[str] | None) -> str:
        """Return what training starts from, for the log."""
        head = "its classifier is kept, since the classes are the same"
        if not self.keeps_head(classes):
            head = "the classifier is new"
        return f"starting from {self.source} ({self.network}); {head}"

    def fitted(
        self, config: ModelConfig, classes: Sequence[str] | None, seed: int
    ) -> dict[str, Tensor]:
        """Return the weights for ``config``, with the classes and channels of the data.

        The classifier is new, random and small, unless ``keeps_head``. Raises ``RefusedError`` if
        the input channels cannot be converted.
        """
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            tensors = ModernResNet(config).state_dict()
        head = {name: HEAD_SCALE * tensors[name] for name in HEAD}
        if self.keeps_head(classes):
            order = places(classes or (), self.class_names or (), ("the data", self.source))
            head = {name: self.tensors[name][torch.from_numpy(order)] for name in HEAD}
        stem = _stem(self.tensors[STEM], config.in_channels, self.source)
        return self.tensors | head | {STEM: stem}


def read_start(start: Start) -> StartWeights:
    """Read the weights of ``start``. A name in timm is downloaded. Raises ``RefusedError``."""
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
    return _from_file(path, start.network)


def described(config: ModelConfig, facts: Mapping[str, Any]) -> str:
    """Describe the network of a file with these ``facts``: its step, if known, and its shape."""
    shape = f"width {config.width}, depths {' '.join(map(str, config.depths))}"
    step = facts.get("step")
    return f"{said(facts.get('roadmap'))[1:-1]}:{said(step)[1:-1]} of {shape}" if step else shape


def starting_config(begin: StartWeights, settings: Settings) -> ModelConfig:
    """Return the network to train: that of the weights, with the recipe's stochastic depth.

    Raises ``RefusedError`` if it has too few stages to freeze.
    """
    stages = len(begin.config.depths)
    if settings.start is not None and settings.start.frozen_stages > stages:
        raise RefusedError(
            f"--frozen-stages is {settings.start.frozen_stages}, but the network in {begin.source} "
            f"has {counted(stages, 'stage')}; use 0 to {stages}"
        )
    return begin.config.replace(stochastic_depth=settings.recipe.stochastic_depth)


def freeze(network: ModernResNet, stages: int) -> list[nn.Module]:
    """Freeze the parameters of the stem and the first ``stages`` stages, if it is not 0.

    Returns these modules, which must stay in evaluation mode.
    """
    modules = [network.stem, *network.stages[:stages]] if stages else []
    for module in modules:
        module.requires_grad_(False)
    return modules


def layer_scale(name: str, depths: Sequence[int], decay: float) -> float:
    """Return the factor of the learning rate of the parameter ``name``.

    The layers are grouped from the input: the stem; in each stage, every three consecutive blocks,
    with the remaining blocks in the last group and the downsampling layer in the first; the head.
    The head's factor is 1, and each group before has ``decay`` times the next one's.
    """
    groups = [max(1, depth // BLOCKS) for depth in depths]
    last = 1 + sum(groups)
    place = _PLACE.match(name)
    if place is None:
        return decay ** (last if name.startswith("stem.") else 0)
    stage, block = int(place[1]), int(place[2] or 0)
    group = 1 + sum(groups[:stage]) + min(block // BLOCKS, groups[stage] - 1)
    return decay ** (last - group)


def layer_groups(
    groups: Sequence[dict[str, Any]], model: nn.Module, decay: float
) -> list[dict[str, Any]]:
    """Split parameter ``groups`` by ``layer_scale``, stored as ``lr_scale``, without frozen
    parameters."""
    assert isinstance(model, ModernResNet)
    names = {parameter: name for name, parameter in model.named_parameters()}
    split = []
    for group in groups:
        scaled: dict[float, list[nn.Parameter]] = {}
        for parameter in group["params"]:
            if parameter.requires_grad:
                scale = layer_scale(names[parameter], model.config.depths, decay)
                scaled.setdefault(scale, []).append(parameter)
        split += [{**group, "params": each, "lr_scale": scale} for scale, each in scaled.items()]
    return split


def _from_file(path: Path, network: ModelConfig | None) -> StartWeights:
    source = shortened(path)
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
    return StartWeights(ours, config, title, source, digest, names, facts)


def _from_timm(start: Start) -> StartWeights:
    """Download weights through timm."""
    name = start.weights.removeprefix("timm:")
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
    return StartWeights(ours, config, title, f"timm's {name}", _sha256(ours), None)


def _recognized(
    tensors: dict[str, Tensor], source: str
) -> tuple[ModelConfig, str, dict[str, Tensor]]:
    """Return the published network that ``tensors`` fit, its name and the converted tensors."""
    classes = _classes(tensors)
    for name, variant in VARIANTS.items():
        config = variant.replace(num_classes=classes)
        try:
            return config, name, convert_state_dict(tensors, config)
        except ValueError:
            continue
    raise RefusedError(
        f"{source} does not record its network, and fits none of {', '.join(VARIANTS)}: if it "
        "is a step of a roadmap, add --step KEY"
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
