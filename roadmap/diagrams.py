"""Diagrams as inline SVG, drawn from the block specification, so that they cannot disagree with it.

Text and lines take ``currentColor``, so they follow the theme of the page around them; changed
layers carry a mark beside their colour. Text alternatives stand in ``aria-label``.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from html import escape

from models.config import ModelConfig
from models.spec import (
    Activation,
    BlockSpec,
    Conv,
    Layer,
    LayerScale,
    MaxPool,
    Norm,
    network_spec,
    place_layers,
)
from roadmap.palette import BLUE
from roadmap.svg import LINE, ink, label, picture, sheet
from roadmap.text import counted

# One panel, in pixels: the shortcut's lane, the layers, their names.
WIDTH, LANE, CENTER, SHAPE, MARK, NAME = 340, 42, 146, 116, 220, 236
CONV, PILL, PLUS = 44, 24, 34  # heights of rows

NORMS = {
    "batch": "BatchNorm",
    "layer": "LayerNorm",
    "response": "GRN",
}
ACTIVATIONS = {
    "relu": "ReLU",
    "gelu": "GELU",
}
MARKS = {"added": "+", "removed": "−", "changed": "Δ"}


@dataclass(frozen=True)
class Part:
    """A piece of a network: ``lead`` layers in a row, then a block, if any.

    ``size`` and ``channels`` are those of its input.
    """

    name: str
    lead: tuple[Layer, ...]
    block: BlockSpec | None
    size: int
    channels: int


@dataclass(frozen=True)
class Diagram:
    """A title, and the SVGs to show side by side (before and after, or one alone).

    A notebook shows it as one picture.
    """

    title: str
    panels: tuple[str, ...] = field(repr=False)

    def _repr_svg_(self) -> str:
        sides = ("before", "after") if len(self.panels) == 2 else ()
        return sheet(self.panels, [f"{self.title}, {side}" for side in sides] or [self.title])


@dataclass(frozen=True)
class StageRow:
    """A row of the stage table: ``lines`` are layers in order, the whole repeated ``times``."""

    name: str
    size: str
    lines: tuple[str, ...]
    times: int = 1


def step_diagrams(
    before: ModelConfig | None, after: ModelConfig, image_size: int = 224
) -> list[Diagram]:
    """What changes from ``before`` to ``after``: stem, depths, block, downsampling, as it applies.

    Without ``before`` it is the stem and the block of ``after``. Equal configs have no diagrams.
    Raises ``ValueError`` for an image too small for the network.
    """
    diagrams = []
    if before is not None and before.depths != after.depths:
        diagrams.append(depth_diagram(before, after))
    for title, part in (("The stem", _stem), ("The block", _block)):
        old = part(before, image_size) if before else None
        new = part(after, image_size)
        if old is None or _signature(old) != _signature(new):
            diagrams.append(Diagram(title, _panels(old, new)))
    stages = min(len(config.depths) for config in (before, after) if config)
    if before is not None and before.downsampling != after.downsampling and stages > 1:
        old, new = _first(before, image_size, 1), _first(after, image_size, 1)
        diagrams.append(Diagram("From the first stage to the second", _panels(old, new)))
    return diagrams


def block_diagram(
    before: ModelConfig | None, after: ModelConfig, stage: int = 0, image_size: int = 224
) -> str:
    """A block of ``stage`` (from 0) before and after, as one piece of HTML with two SVGs."""
    old = _block(before, image_size, stage) if before else None
    return side_by_side(_panels(old, _block(after, image_size, stage)))


def part_names(config: ModelConfig) -> dict[str, str]:
    """The parts that ``part_diagram`` draws: key and name, in the network's order."""
    names = {"stem": "Stem"}
    for stage in range(1, len(config.depths) + 1):
        names |= {f"first{stage}": f"Into stage {stage}", f"stage{stage}": f"Stage {stage}"}
    return names


def part_diagram(
    before: ModelConfig | None, after: ModelConfig, part: str, image_size: int = 224
) -> Diagram:
    """The ``part`` (a key of ``part_names``) before and after, with the shape behind each layer.

    ``first2`` is the first block of stage 2 behind its downsampling, ``stage2`` a block that
    follows. Where nothing differs there is one panel. Raises ``ValueError`` for an image too small
    for the network, ``KeyError`` for an unknown part.
    """
    title = part_names(after)[part]
    old = _part(before, image_size, part) if before else None
    new = _part(after, image_size, part)
    if old == new:
        old = None
    return Diagram(title, _panels(old, new, shapes=True))


def _part(config: ModelConfig, image_size: int, part: str) -> Part:
    if part == "stem":
        return _stem(config, image_size)
    stage = int(part[-1]) - 1
    return (_first if part.startswith("first") else _block)(config, image_size, stage)


def side_by_side(panels: Sequence[str], captions: Sequence[str] = ("Before", "After")) -> str:
    """Panels in one row under their captions, or one below the other where there is no room."""
    style = "display:flex;flex-wrap:wrap;align-items:flex-start;gap:1.5rem 4rem"
    if len(panels) == 1:
        return f'<div style="{style}">{panels[0]}</div>'
    figures = "".join(
        f'<figure style="margin:0;max-width:100%"><figcaption>{escape(caption)}</figcaption>'
        f"{panel}</figure>"
        for panel, caption in zip(panels, captions, strict=True)
    )
    return f'<div style="{style}">{figures}</div>'


def depth_diagram(before: ModelConfig, after: ModelConfig) -> Diagram:
    """Blocks per stage as rows of squares, one panel before, one after."""
    cell = min(16.0, 250 / max(*before.depths, *after.depths))
    panels = (_depths(before, after, "removed", cell), _depths(after, before, "added", cell))
    return Diagram("Blocks per stage", panels)


def stage_table(config: ModelConfig, image_size: int = 224) -> list[StageRow]:
    """The paper's Table 9 for any network: stem, stages and head with their output sizes.

    Raises ``ValueError`` for an image too small for the network.
    """
    spec = network_spec(config)
    size = _after(spec.stem, image_size)
    rows = [StageRow("Stem", f"{size} × {size}", _lines(spec.stem))]
    for index, stage in enumerate(spec.stages):
        name = f"Stage {index + 1}"
        size = _after(stage.downsample + stage.blocks[0].branch, size)
        square = f"{size} × {size}"
        if stage.downsample:
            rows.append(StageRow(f"Downsampling {index}", square, _lines(stage.downsample)))
        rows.append(StageRow(name, square, _lines(stage.blocks[-1].branch), len(stage.blocks)))
    head = ["global average pooling"]
    if spec.head_norm:
        head.append(NORMS[spec.head_norm.kind])
    if spec.num_classes:
        head.append(f"linear, {spec.num_classes}")
    rows.append(StageRow("Head", "1 × 1", tuple(head)))
    return rows


def _lines(layers: Iterable[Layer]) -> tuple[str, ...]:
    """Convolutions and pooling in short; ``d`` marks a depthwise one, as in the paper."""
    lines = []
    for layer in layers:
        if isinstance(layer, Conv):
            kind = "d" if layer.depthwise else ""
            text = f"{kind}{_side(layer)}, {layer.out_channels}"
            lines.append(text + (f", stride {layer.stride}" if layer.stride > 1 else ""))
        elif isinstance(layer, MaxPool):
            lines.append(f"{_side(layer)} max pool, stride {layer.stride}")
    return tuple(lines)


def _stem(config: ModelConfig, image_size: int) -> Part:
    return Part("Stem", network_spec(config).stem, None, image_size, config.in_channels)


def _block(config: ModelConfig, image_size: int, stage: int = 0) -> Part:
    """A block in the middle of a stage, where the shortcut is the identity, if there is one."""
    spec = network_spec(config)
    size = _after(spec.stem, image_size)
    for earlier in spec.stages[:stage]:
        size = _after(earlier.downsample + earlier.blocks[0].branch, size)
    blocks = spec.stages[stage].blocks
    if len(blocks) == 1:
        size = _after(spec.stages[stage].downsample, size)
        channels = blocks[0].branch[0].in_channels
    else:
        size = _after(spec.stages[stage].downsample + blocks[0].branch, size)
        channels = config.output_width(stage)
    return Part("Block", (), blocks[-1], size, channels)


def _first(config: ModelConfig, image_size: int, stage: int) -> Part:
    """What stands between a stage, or the stem, and the middle of ``stage`` (from 0)."""
    spec = network_spec(config)
    size = _after(spec.stem, image_size)
    for earlier in spec.stages[:stage]:
        size = _after(earlier.downsample + earlier.blocks[0].branch, size)
    channels = config.output_width(stage - 1) if stage else config.width
    entered = spec.stages[stage]
    return Part("Entry", entered.downsample, entered.blocks[0], size, channels)


def _after(layers: tuple[Layer, ...], size: int) -> int:
    return next((p.out_size for p in reversed(list(place_layers(layers, "network", size)))), size)


# What changed


def _roles(layers: Iterable[Layer], where: str) -> dict[tuple[str, ...], Layer]:
    """Each layer under what it does in its part, so that a layer can be found again after.

    Pointwise convolutions are counted; a norm or an activation belongs to the layer before it.
    """
    roles: dict[tuple[str, ...], Layer] = {}
    owner, pointwise = "start", 0
    for layer in layers:
        if isinstance(layer, Conv):
            pointwise += layer.kernel_size == 1
            owner = f"pointwise{pointwise}" if layer.kernel_size == 1 else "spatial"
            role = (where, owner)
        else:
            role = (where, owner, type(layer).__name__)
        roles[role] = layer
    return roles


def _part_roles(part: Part) -> dict[tuple[str, ...], Layer]:
    roles = _roles(part.lead, "lead")
    if part.block:
        roles |= _roles(part.block.branch, "branch") | _roles(part.block.shortcut, "shortcut")
        if part.block.activation:
            roles["after",] = Activation("act", part.block.activation)
    return roles


def _essence(layer: Layer) -> tuple[object, ...]:
    """What makes a layer another one in a picture; a norm's channels follow its convolution."""
    if isinstance(layer, Conv):
        return layer.in_channels, layer.out_channels, layer.kernel_size, layer.stride, layer.groups
    if isinstance(layer, Norm | Activation):
        return (layer.kind,)
    if isinstance(layer, MaxPool | LayerScale):
        return ()
    raise TypeError(f"no picture of a {type(layer).__name__}")


def _signature(part: Part) -> object:
    return [(role, _essence(layer)) for role, layer in _part_roles(part).items()]


def _marks(part: Part, other: Part | None, missing: str) -> dict[tuple[str, ...], str]:
    """For each role of ``part`` that differs in ``other``: ``missing`` or ``changed``."""
    if other is None:
        return {}
    mine, theirs = _part_roles(part), _part_roles(other)
    marks = {}
    for role, layer in mine.items():
        if role not in theirs:
            marks[role] = missing
        elif missing == "added" and _essence(theirs[role]) != _essence(layer):
            marks[role] = "changed"
    if missing == "added" and _moved(list(mine), list(theirs)):
        marks["branch", "spatial"] = "changed"
    return marks


def _moved(mine: list[tuple[str, ...]], theirs: list[tuple[str, ...]]) -> bool:
    """Whether the spatial convolution stands elsewhere in the block."""

    def place(roles: list[tuple[str, ...]]) -> int:
        convs = [role for role in roles if role[0] == "branch" and len(role) == 2]
        return convs.index(("branch", "spatial")) if ("branch", "spatial") in convs else -1

    return place(mine) != place(theirs)


# Drawing


def _panels(before: Part | None, after: Part, shapes: bool = False) -> tuple[str, ...]:
    parts = [part for part in (before, after) if part]
    widest = max(max(_channels(part)) for part in parts)
    new = _draw(after, _marks(after, before, "added"), widest, shapes)
    if before is None:
        return (new,)
    return (_draw(before, _marks(before, after, "removed"), widest, shapes), new)


def _channels(part: Part) -> list[int]:
    convs = [layer for layer in _part_roles(part).values() if isinstance(layer, Conv)]
    return [part.channels] + [conv.out_channels for conv in convs]


def _draw(part: Part, marks: dict[tuple[str, ...], str], widest: int, shapes: bool = False) -> str:
    """One panel: input at the top, layers downwards, the shortcut at the left."""
    canvas = _Canvas(widest, part.size if shapes else None)
    canvas.end(14, part.size, part.channels)
    y, size = 34.0, part.size
    for role, layer in _roles(part.lead, "lead").items():
        y = canvas.layer(y, layer, marks.get(role))
    size = _after(part.lead, size)
    if part.block:
        split = y - 2
        y += 8
        for role, layer in _roles(part.block.branch, "branch").items():
            y = canvas.layer(y, layer, marks.get(role))
        canvas.shortcut(split, y, _roles(part.block.shortcut, "shortcut"), marks)
        y = canvas.plus(y)
        if part.block.activation:
            y = canvas.layer(y, Activation("act", part.block.activation), marks.get(("after",)))
        size = _after(part.block.branch, size)
    out = _channels_out(part)
    canvas.end(y + 16, size, out)
    return canvas.svg(y + 22, _described(part, marks, size, out))


def _channels_out(part: Part) -> int:
    layers = part.block.branch if part.block else part.lead
    return [layer for layer in layers if isinstance(layer, Conv)][-1].out_channels


class _Canvas:
    """Collects SVG elements; ``widest`` is the number of channels that fills the width.

    With the ``size`` of its input, each layer that has channels or pixels of its own states its
    output: height, width, channels."""

    def __init__(self, widest: int, size: int | None = None):
        self.widest = widest
        self.size = size  # of what flows on, where each layer states its output
        self.drawn = 20.0  # down to here; the line to the next shape starts there
        self.elements: list[str] = []

    def width(self, channels: int) -> float:
        return max(SHAPE * channels / self.widest, 5.0)

    def end(self, y: float, size: int, channels: int) -> None:
        """The size of input or output, its baseline at ``y``."""
        if y > self.drawn:
            self._line(y - 12)
        text = f"{size} × {size}, {counted(channels, 'channel')}"
        self.elements.append(label(CENTER, y, text, anchor="middle", faint=True))

    def _line(self, top: float, bottom: float | None = None) -> None:
        """The line from the last shape to the next one's ``top``, which ends at ``bottom``."""
        self.elements.append(f'<path d="M{CENTER},{self.drawn:.1f} V{top:.1f}" {LINE}/>')
        self.drawn = top if bottom is None else bottom

    def layer(self, y: float, layer: Layer, mark: str | None) -> float:
        """Draws ``layer`` with its top at ``y``; returns where the next one begins."""
        if isinstance(layer, Conv):
            self._conv(y, layer, mark)
            return y + CONV
        if isinstance(layer, MaxPool):
            self._pill(y + 8, f"{_side(layer)} max pool", mark, f"stride {layer.stride}")
            self._shape(y + 36, layer)
            return y + CONV - 8
        self._pill(y, _short(layer), mark, "")
        return y + PILL

    def _conv(self, y: float, conv: Conv, mark: str | None) -> None:
        top, bottom = self.width(conv.in_channels) / 2, self.width(conv.out_channels) / 2
        height = CONV - 10
        corners = (
            (CENTER - top, y),
            (CENTER + top, y),
            (CENTER + bottom, y + height),
            (CENTER - bottom, y + height),
        )
        self._line(y, y + height)
        points = " ".join(f"{x:.1f},{at:.1f}" for x, at in corners)
        self.elements.append(f'<polygon points="{points}" {ink(mark)}/>')
        if conv.kernel_size > 1:
            self.elements.append(_grid(CENTER, y + height / 2, conv.kernel_size))
        self._mark(y + height / 2, mark)
        first, second = _conv_text(conv)
        bold = mark in ("added", "changed")
        self.elements.append(label(NAME, y + height / 2 - 3, first, bold=bold, struck=mark))
        self.elements.append(label(NAME, y + height / 2 + 12, second, faint=True))
        self._shape(y + height / 2 + 27, conv)

    def _shape(self, y: float, layer: Conv | MaxPool) -> None:
        if self.size is None:
            return
        self.size = layer.output_size(self.size)
        channels = f" × {layer.out_channels}" if isinstance(layer, Conv) else ""
        self.elements.append(label(NAME, y, f"{self.size} × {self.size}{channels}", small=True))

    def _pill(self, y: float, text: str, mark: str | None, note: str) -> None:
        self._line(y, y + 18)
        self.elements.append(
            f'<rect x="{CENTER - 44}" y="{y:.1f}" width="88" height="18" rx="9" '
            f"{ink(mark, solid=False)}/>"
        )
        self.elements.append(label(CENTER, y + 13, text, anchor="middle", small=True, struck=mark))
        self._mark(y + 9, mark)
        if note:
            self.elements.append(label(NAME, y + 13, note, faint=True))

    def _mark(self, y: float, mark: str | None) -> None:
        if mark is None:
            return
        color = "currentColor" if mark == "removed" else BLUE
        self.elements.append(
            f'<circle cx="{MARK}" cy="{y:.1f}" r="8" fill="{color}" '
            f'fill-opacity="{0.12 if mark == "removed" else 1}"/>'
            f'<text x="{MARK}" y="{y + 4.5:.1f}" text-anchor="middle" font-size="13" '
            f'font-weight="700" fill="{"currentColor" if mark == "removed" else "#ffffff"}">'
            f"{MARKS[mark]}</text>"
        )

    def shortcut(
        self,
        top: float,
        bottom: float,
        roles: dict[tuple[str, ...], Layer],
        marks: dict[tuple[str, ...], str],
    ) -> None:
        end = bottom + PLUS / 2 - 4
        y = (top + end - PILL * len(roles)) / 2
        self.elements.append(
            f'<path d="M{CENTER},{top:.1f} H{LANE + 8} Q{LANE},{top:.1f} {LANE},{top + 8:.1f} '
            f'V{y if roles else end - 8:.1f}" {LINE}/>'
        )
        for role, layer in roles.items():
            self._lane_pill(y, _lane_text(layer), marks.get(role))
            y += PILL
        self.elements.append(
            f'<path d="M{LANE},{y - 6 if roles else end - 8:.1f} V{end - 8:.1f} '
            f'Q{LANE},{end:.1f} {LANE + 8},{end:.1f} H{CENTER - 9}" {LINE}/>'
        )

    def _lane_pill(self, y: float, text: str, mark: str | None) -> None:
        sign = f"{MARKS[mark]} " if mark else ""
        self.elements.append(
            f'<rect x="{LANE - 40}" y="{y:.1f}" width="80" height="18" rx="4" '
            f"{ink(mark, solid=False)}/>"
            + label(LANE, y + 13, sign + text, anchor="middle", small=True)
        )

    def plus(self, y: float) -> float:
        middle = y + PLUS / 2 - 4
        self._line(middle - 9, middle + 9)
        self.elements.append(
            f'<g stroke="currentColor" stroke-width="1.5" fill="none"><circle cx="{CENTER}" '
            f'cy="{middle:.1f}" r="9"/>'
            f'<path d="M{CENTER - 4.5},{middle:.1f} h9 M{CENTER},{middle - 4.5:.1f} v9"/></g>'
        )
        return y + PLUS

    def svg(self, height: float, described: str) -> str:
        return picture(WIDTH, height, "".join(self.elements), described)


def _depths(config: ModelConfig, other: ModelConfig, mark: str, cell: float) -> str:
    """A row of squares a stage; those that ``other`` does not have are marked."""
    pieces = []
    for stage, depth in enumerate(config.depths):
        y = 8 + stage * 28
        shared = other.depths[stage] if stage < len(other.depths) else 0
        pieces.append(label(0, y + 13, f"Stage {stage + 1}"))
        for index in range(depth):
            drawn = ink(mark if index >= shared else None)
            pieces.append(
                f'<rect x="{56 + index * cell:.2f}" y="{y}" width="{cell * 0.8:.2f}" '
                f'height="16" {drawn}/>'
            )
        bold = depth != shared and mark == "added"
        gained = f" ({depth - shared:+d})".replace("-", "−") if bold else ""
        text = f"{depth}{gained}"
        pieces.append(label(62 + depth * cell, y + 13, text, bold=bold, faint=not bold))
    described = "Blocks per stage: " + ", ".join(map(str, config.depths))
    return picture(WIDTH, 12 + 28 * len(config.depths), "".join(pieces), described)


def _grid(x: float, y: float, kernel: int) -> str:
    """The kernel as ``kernel`` x ``kernel`` cells, so that its size is seen."""
    cell = min(2.7, 31 / kernel)
    half = kernel * cell / 2
    lines = "".join(
        f"M{x - half:.1f},{y - half + i * cell:.1f}h{2 * half:.1f}"
        f"M{x - half + i * cell:.1f},{y - half:.1f}v{2 * half:.1f}"
        for i in range(kernel + 1)
    )
    return f'<path d="{lines}" fill="none" stroke="currentColor" stroke-width="0.7"/>'


# Words


def _side(layer: Conv | MaxPool) -> str:
    return f"{layer.kernel_size}×{layer.kernel_size}"


def _conv_text(conv: Conv) -> tuple[str, str]:
    kind = " depthwise" if conv.depthwise else f", {conv.groups} groups" if conv.groups > 1 else ""
    same = conv.in_channels == conv.out_channels
    channels = f"{conv.in_channels}" if same else f"{conv.in_channels} → {conv.out_channels}"
    more = f", stride {conv.stride}" if conv.stride > 1 else " channels" if same else ""
    return _side(conv) + (kind or " convolution"), channels + more


def _short(layer: Layer) -> str:
    if isinstance(layer, Norm):
        return NORMS[layer.kind]
    if isinstance(layer, Activation):
        return ACTIVATIONS[layer.kind]
    if isinstance(layer, LayerScale):
        return "LayerScale"
    raise TypeError(f"a {type(layer).__name__} is drawn with its size")


def _lane_text(layer: Layer) -> str:
    if isinstance(layer, Conv):
        return _side(layer) + (f" stride {layer.stride}" if layer.stride > 1 else "")
    return _short(layer)


def _described(part: Part, marks: dict[tuple[str, ...], str], size: int, channels: int) -> str:
    """The picture in words: layers in order, each change named."""
    words = [f"Input {part.size} by {part.size}, {counted(part.channels, 'channel')}"]
    for role, layer in _part_roles(part).items():
        if isinstance(layer, Conv):
            text = "{} {}".format(*_conv_text(layer)).replace("→", "to").replace("×", " by ")
        elif isinstance(layer, MaxPool):
            text = f"{_side(layer)} max pooling".replace("×", " by ")
        else:
            text = _short(layer)
        place = {"shortcut": "on the shortcut ", "after": "after the addition "}.get(role[0], "")
        words.append(place + text + (f" ({marks[role]})" if role in marks else ""))
    return "; ".join(words) + f"; output {size} by {size}, {counted(channels, 'channel')}."
