"""The small trained networks that are shipped, and a forward pass that keeps every output."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

from models.config import ModelConfig
from roadmap.tables.pocket import file
from roadmap.tables.results import read_rows
from roadmap.views.picture.tree import IMAGE, tree

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor

    from models.network import ModernResNet

#: All sessions share the networks, and a pass's hooks are on the network.
_RUNNING = threading.Lock()


@dataclass(frozen=True)
class Trained:
    """A network with weights, in evaluation mode, and what is known about it.

    ``image_size`` is the side of its input in pixels, ``classes`` the words of its outputs,
    ``note`` its score or source.
    """

    network: ModernResNet
    image_size: int
    interpolation: str
    classes: tuple[str, ...]
    note: str

    @property
    def config(self) -> ModelConfig:
        return self.network.config


@cache
def pocket(key: str) -> Trained:
    """Return the shipped network of step ``key``."""
    from models.files import network_of, read_weights

    tensors, config, metadata = read_weights(file(key))
    assert config is not None  # tests/test_pocket_networks.py reads every file
    words = {row["wordnet_id"]: row["word"] for row in read_rows("pocket/classes")}
    return Trained(
        network_of(tensors, config).requires_grad_(False),
        metadata["image_size"],
        metadata["recipe"]["interpolation"],
        tuple(words[name] for name in metadata["class_names"]),
        f"{metadata['scores']['top1']:.1f}% top-1",
    )


@dataclass(frozen=True)
class Outputs:
    """All outputs of a forward pass: (C, H, W) float32 by path, ``IMAGE`` being the input, and
    the probability of each class."""

    maps: Mapping[str, Tensor]
    probabilities: tuple[float, ...]


def forward(trained: Trained, picture: np.ndarray) -> Outputs:
    """Run ``picture``, uint8 (H, W, 3), through the network and keep the output of every part."""
    import torch

    parts = tree(trained.config, trained.image_size)
    maps: dict[str, Tensor] = {}

    def keep(path: str) -> Any:
        def hook(_module: Any, _inputs: Any, output: Tensor) -> None:
            maps[path] = output[0].clone()  # activations may work in place

        return hook

    modules = dict(trained.network.named_modules())
    image = network_input(picture, trained.image_size, trained.interpolation)
    with _RUNNING, _one_thread(), torch.inference_mode():
        hooks = [modules[path].register_forward_hook(keep(path)) for path in parts]
        try:
            logits = trained.network(image)[0]
        finally:
            for hook in hooks:
                hook.remove()
    return Outputs({IMAGE: image[0], **maps}, tuple(logits.softmax(0).tolist()))


@contextmanager
def _one_thread() -> Iterator[None]:
    """Use one thread of torch: these layers take microseconds, and threads that wait for each other
    on a busy processor take a second."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def square(picture: np.ndarray) -> np.ndarray:
    """Return the central square."""
    height, width = picture.shape[:2]
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    return picture[top : top + side, left : left + side]


def network_input(picture: np.ndarray, size: int, interpolation: str) -> Tensor:
    """Return the central square of ``picture``, scaled and normalized as for scoring."""
    import numpy as np
    import torch
    from PIL import Image

    from roadmap.train.data.augment import normalize

    how = Image.Resampling[interpolation.upper()]
    scaled = Image.fromarray(square(picture)).resize((size, size), how)
    return normalize(torch.from_numpy(np.array(scaled)).permute(2, 0, 1)[None])
