"""A network as named shapes, for a drawing that moves from one network to the next.

A layer has the same name in every network, so a page can move, resize or recolor its shape.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from models.config import ModelConfig
from models.spec import Conv, Layer, MaxPool, StageSpec, network_spec
from roadmap.drawing.parts import DrawnPart, block_part, marks_of, part_roles, size_after, stem_part
from roadmap.drawing.words import conv_text, short_name, side
from roadmap.text import counted

#: Widest shape and the heights of rows, in units of the drawing; text is 26 units high.
WIDEST, CONV, PILL, SUM, END, STAGE = 190, 64, 38, 44, 40, 60
#: Height of a block in a stage: the largest one, and the height for the blocks of all stages.
SLAB, SLABS = 11.0, 248.0

Roles = dict[tuple[str, ...], Layer]
Marks = dict[tuple[str, ...], str]


@dataclass(frozen=True)
class Shape:
    """A shape centered on its column: ``top`` and ``bottom`` are its widths, ``y`` its upper edge.

    ``kind`` is ``conv``, ``pill``, ``slab``, ``stage`` (text only), ``sum`` or ``end`` (text only);
    ``mark`` is ``added``, ``changed``, ``removed`` or empty. ``kernel`` is the side of a kernel.
    """

    name: str
    kind: str
    y: float
    height: float
    top: float = 0
    bottom: float = 0
    text: str = ""
    detail: str = ""
    mark: str = ""
    kernel: int = 0


@dataclass
class ShapeColumn:
    """Shapes from top to bottom; ``split`` and ``joined`` are where a shortcut starts and ends."""

    widest: int
    shapes: list[Shape] = field(default_factory=list)
    height: float = 0
    split: float = 0
    joined: float = 0

    def width(self, channels: int) -> float:
        return round(max(WIDEST * channels / self.widest, 6), 1)

    def add(self, name: str, kind: str, row: float, gap: float = 8, **more: Any) -> None:
        shape = Shape(name, kind, round(self.height, 1), row - gap, **more)
        self.shapes.append(shape)
        self.height += row

    def end(self, name: str, size: int, channels: int) -> None:
        self.add(name, "end", END, text=f"{size} × {size}, {counted(channels, 'channel')}")

    def layers(self, roles: Roles, marks: Marks) -> None:
        for role, layer in roles.items():
            self.layer(".".join(role), layer, marks.get(role, ""))

    def layer(self, name: str, layer: Layer, mark: str) -> None:
        if isinstance(layer, Conv):
            text, detail = conv_text(layer)
            widths: dict[str, Any] = {
                "top": self.width(layer.in_channels),
                "bottom": self.width(layer.out_channels),
            }
            words: dict[str, Any] = {
                "text": text,
                "detail": detail,
                "mark": mark,
                "kernel": layer.kernel_size,
            }
            self.add(name, "conv", CONV, **widths, **words)
        else:
            text = f"{side(layer)} max pool" if isinstance(layer, MaxPool) else short_name(layer)
            self.add(name, "pill", PILL, text=text, mark=mark)


@dataclass(frozen=True)
class Widest:
    """The most channels of any block or stage to draw, so that widths can be compared."""

    block: int
    network: int


@dataclass(frozen=True)
class Scene:
    """The stem and stages, and a block of the first stage, with what was removed still there."""

    network: ShapeColumn
    block: ShapeColumn
    described: str


def widest(configs: Iterable[ModelConfig]) -> Widest:
    configs = list(configs)
    blocks = [config.output_width(0) for config in configs]
    blocks += [config.inner_width(0) for config in configs]
    networks = [config.output_width(len(config.depths) - 1) for config in configs]
    return Widest(max(blocks), max(networks))


def scene(
    before: ModelConfig | None, after: ModelConfig, wide: Widest, image_size: int = 224
) -> Scene:
    """Draw ``after`` with its differences from ``before``, if any.

    The block is a later one of the first stage, whose shortcut is the identity. Raises
    ``ValueError`` for an image too small for the network.
    """
    network, block = ShapeColumn(wide.network), ShapeColumn(wide.block)
    _stem(network, before, after, image_size)
    _stages(network, before, after)
    _block(block, before, after, image_size)
    return Scene(network, block, _described(network, block))


def _stem(
    column: ShapeColumn, before: ModelConfig | None, after: ModelConfig, image_size: int
) -> None:
    old = stem_part(before, image_size) if before else None
    roles, marks = _compared(old, stem_part(after, image_size))
    column.end("input", image_size, after.in_channels)
    column.layers(roles, marks)


def _stages(column: ShapeColumn, before: ModelConfig | None, after: ModelConfig) -> None:
    stages = network_spec(after).stages
    olds = network_spec(before).stages if before else ()
    depths = [len(stage.blocks) for stage in stages]
    total = sum(map(max, depths, [len(old.blocks) for old in olds])) if olds else sum(depths)
    thickness = min(SLAB, SLABS / total)
    for index, stage in enumerate(stages):
        old = olds[index] if index < len(olds) else None
        _downsampling(column, index, stage, old)
        channels = after.output_width(index)
        was = before.output_width(index) if before and old else channels
        _slabs(column, index, stage, old, (was, channels), thickness)


def _downsampling(column: ShapeColumn, index: int, stage: StageSpec, old: StageSpec | None) -> None:
    if not stage.downsample:
        return
    conv = next(layer for layer in stage.downsample if isinstance(layer, Conv))
    others = [short_name(layer) for layer in stage.downsample if not isinstance(layer, Conv)]
    column.add(
        f"downsampling{index}",
        "conv",
        PILL,
        top=column.width(conv.in_channels),
        bottom=column.width(conv.out_channels),
        text=", ".join([*others, f"{side(conv)} stride {conv.stride}"]),
        mark="added" if old and not old.downsample else "",
        kernel=1,
    )


def _slabs(
    column: ShapeColumn,
    index: int,
    stage: StageSpec,
    old: StageSpec | None,
    channels: tuple[int, int],
    thickness: float,
) -> None:
    """Draw a stage's blocks; ``channels`` are those of its output before and after the step."""
    depth, shared = len(stage.blocks), len(old.blocks) if old else len(stage.blocks)
    top, width = column.height, column.width(channels[1])
    for block in range(max(depth, shared)):
        mark = "removed" if block >= depth else "added" if block >= shared else ""
        name = f"stage{index + 1}.{block}"
        column.add(name, "slab", thickness, thickness * 0.25, top=width, bottom=width, mark=mark)
    height = max(STAGE, column.height - top + 12)
    column.height = top
    column.add(
        f"stage{index + 1}",
        "stage",
        height,
        text=f"Stage {index + 1}: {counted(depth, 'block')}",
        detail=counted(channels[1], "channel"),
        mark="changed" if depth != shared or channels[0] != channels[1] else "",
    )


def _block(
    column: ShapeColumn, before: ModelConfig | None, after: ModelConfig, image_size: int
) -> None:
    new = block_part(after, image_size)
    old = block_part(before, image_size) if before else None
    roles, marks = _compared(old, new)
    assert new.block is not None  # ``block_part`` returns one
    column.end("input", new.size, new.channels)
    column.split = column.height - 4
    column.height += 6
    column.layers({role: each for role, each in roles.items() if role[0] == "branch"}, marks)
    column.joined = column.height + (SUM - 8) / 2
    column.add("sum", "sum", SUM)
    after_sum: Roles = {role: each for role, each in roles.items() if role == ("after",)}
    column.layers(after_sum, marks)
    size = size_after(new.block.branch, new.size)
    column.end("output", size, after.output_width(0))


def _compared(old: DrawnPart | None, new: DrawnPart) -> tuple[Roles, Marks]:
    """Return the layers of ``new``, and of ``old`` what was removed, with the marks of changes."""
    roles, marks = part_roles(new), marks_of(new, old, "added")
    if old is None:
        return roles, marks
    return _with_removed(roles, part_roles(old)), marks | marks_of(old, new, "removed")


def _with_removed(new: Roles, old: Roles) -> Roles:
    """Return the layers of ``new``, each layer only ``old`` has after the one it followed there."""
    order, previous = list(new), None
    for role in old:
        if role not in new:
            order.insert(order.index(previous) + 1 if previous else 0, role)
        previous = role
    return {role: new.get(role, old.get(role)) for role in order}  # type: ignore[misc]


def _described(network: ShapeColumn, block: ShapeColumn) -> str:
    """Describe both columns in words: layers in order, with each change."""
    words = []
    for title, column in (("Network", network), ("Block", block)):
        said = [
            f"{shape.text} {shape.detail}".strip() + (f" ({shape.mark})" if shape.mark else "")
            for shape in column.shapes
            if shape.text
        ]
        words.append(f"{title}: {'; '.join(said)}.")
    return " ".join(words).replace(" → ", " to ").replace(" × ", " by ").replace("×", " by ")
