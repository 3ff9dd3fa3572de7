"""The parts of a network that can be opened on the page, and their addresses. Imports no torch."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from models.config import ModelConfig
from models.remembered import remembered
from models.spec import BlockSpec, Conv, Layer, MaxPool, network_spec, place_layers
from models.text import said
from roadmap.drawing.words import conv_text, short_name, side

IMAGE = "image"
_ADDRESS = re.compile(
    r"([ab])\.([a-z0-9_.]{1,60})(?:/([0-9]{1,4})(?:/([0-9]{1,3}),([0-9]{1,3}))?)?", re.ASCII
)


@dataclass(frozen=True)
class Field:
    """The theoretical receptive field of a layer's positions, in pixels of the network's input.

    Position ``i`` depends on the ``size`` pixels from ``start + i * stride`` on, in each direction;
    those outside the image are padding.
    """

    start: int = 0
    stride: int = 1
    size: int = 1

    def after(self, layer: Layer) -> Field:
        if not isinstance(layer, Conv | MaxPool):
            return self
        return Field(
            self.start - layer.padding * self.stride,
            self.stride * layer.stride,
            self.size + (layer.kernel_size - 1) * self.stride,
        )


@dataclass(frozen=True)
class NetworkPart:
    """A part of a network with an output: a layer, a block, a stage or the stem.

    ``source`` is the path of the part whose output it takes, ``inside`` the paths of its parts.
    ``layer`` is None unless the part is one layer; ``size`` is the side of the output.
    """

    path: str
    title: str
    channels: int
    size: int
    field: Field
    source: str = IMAGE
    inside: tuple[str, ...] = ()
    layer: Layer | None = None
    block: BlockSpec | None = None


def _parts_of(tree: Mapping[str, NetworkPart]) -> int:
    return len(tree)


@remembered(2000, _parts_of)
def tree(config: ModelConfig, image_size: int) -> dict[str, NetworkPart]:
    """Return every part of ``config``'s network by path, in order.

    Paths are module names of the network. Raises ``ValueError`` if the image is too small.
    """
    return _Growing(config, image_size).parts


@dataclass
class _Growing:
    config: ModelConfig
    image_size: int
    parts: dict[str, NetworkPart] = field(default_factory=dict)

    def __post_init__(self) -> None:
        spec = network_spec(self.config)
        now = NetworkPart(IMAGE, "Picture", self.config.in_channels, self.image_size, Field())
        now = self._group("stem", "Stem", self._layers(spec.stem, "stem", now))
        for number, stage in enumerate(spec.stages):
            path, inside = f"stages.{number}", []
            if stage.downsample:
                layers = self._layers(stage.downsample, f"{path}.downsample", now)
                now = self._group(f"{path}.downsample", "Downsampling", layers)
                inside.append(now.path)
            for index, block in enumerate(stage.blocks):
                now = self._block(block, f"{path}.blocks.{index}", index + 1, now)
                inside.append(now.path)
            title = f"Stage {number + 1}"
            self._add(replace(now, path=path, title=title, inside=tuple(inside), block=None))

    def _add(self, part: NetworkPart) -> NetworkPart:
        self.parts[part.path] = part
        return part

    def _layers(
        self, layers: tuple[Layer, ...], path: str, source: NetworkPart
    ) -> list[NetworkPart]:
        """Add ``layers`` in order, each with the output of the one before as its input."""
        added: list[NetworkPart] = []
        for placed in place_layers(layers, path, source.size):
            layer = placed.layer
            channels = layer.out_channels if isinstance(layer, Conv) else source.channels
            source = self._add(
                NetworkPart(
                    placed.path,
                    title(layer),
                    channels,
                    placed.out_size,
                    source.field.after(layer),
                    source.path,
                    layer=layer,
                )
            )
            added.append(source)
        return added

    def _group(self, path: str, name: str, layers: list[NetworkPart]) -> NetworkPart:
        inside = tuple(part.path for part in layers)
        first = layers[0].source
        return self._add(
            replace(layers[-1], path=path, title=name, source=first, inside=inside, layer=None)
        )

    def _block(self, block: BlockSpec, path: str, number: int, source: NetworkPart) -> NetworkPart:
        branch = self._layers(block.branch, f"{path}.branch", source)
        shortcut = self._layers(block.shortcut, f"{path}.shortcut", source)
        inside = tuple(part.path for part in [*branch, *shortcut])
        last = branch[-1]
        added = NetworkPart(
            path, f"Block {number}", last.channels, last.size, last.field, source.path, inside
        )
        return self._add(replace(added, block=block))


def title(layer: Layer) -> str:
    """Return the name of a layer, such as "3×3 convolution"."""
    if isinstance(layer, Conv):
        return conv_text(layer)[0]
    if isinstance(layer, MaxPool):
        return f"{side(layer)} max pool"
    return short_name(layer)


@dataclass(frozen=True)
class OpenedPart:
    """What is opened: a part of one of the two networks, a channel, a position (row, column)."""

    side: str
    path: str
    channel: int | None = None
    position: tuple[int, int] | None = None

    def __str__(self) -> str:
        text = f"{self.side}.{self.path}"
        if self.channel is not None:
            text += f"/{self.channel}"
        if self.position is not None:
            text += f"/{self.position[0]},{self.position[1]}"
        return text


def opened_part(
    text: str | None, trees: Mapping[str, Mapping[str, NetworkPart]]
) -> tuple[OpenedPart | None, str]:
    """Return the place that ``text`` names in ``trees`` (by side) and ''; if there is none, None
    and a sentence about it."""
    if not text:
        return None, ""
    wrong = f"The part in the URL is {said(text)}"
    found = _ADDRESS.fullmatch(text)
    if not found:
        return None, f"{wrong}; click a part of a network to open it."
    named, path, channel, row, column = found.groups()
    part = trees[named].get(path)
    if part is None:
        return None, f"{wrong}, which this network does not have; click a part to open it."
    if channel is not None and int(channel) >= part.channels:
        return None, f"{wrong}; channels of this part go from 0 to {part.channels - 1}."
    if row is not None and max(int(row), int(column)) >= part.size:
        return None, f"{wrong}; rows and columns of this part go from 0 to {part.size - 1}."
    while channel is not None and part.layer is None and part.block is None:
        part = trees[named][part.inside[-1]]  # whose output the stem's or the stage's is
    position = (int(row), int(column)) if row is not None else None
    return OpenedPart(named, part.path, None if channel is None else int(channel), position), ""


def above(opened: OpenedPart, parts: Mapping[str, NetworkPart]) -> list[OpenedPart]:
    """Return the places from the outermost part down to ``opened``, for the breadcrumb."""
    names = opened.path.split(".")
    paths = (".".join(names[:count]) for count in range(1, len(names) + 1))
    places = [OpenedPart(opened.side, path) for path in paths if path in parts]
    if opened.channel is not None:
        places.append(OpenedPart(opened.side, opened.path, opened.channel))
    if opened.position is not None:
        places.append(opened)
    return places
