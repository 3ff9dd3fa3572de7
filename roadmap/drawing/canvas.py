"""One panel of a diagram: a part of a network, layers top to bottom, shortcut at the left."""

from __future__ import annotations

from typing import NamedTuple

from models.config import ModelConfig
from models.spec import (
    Activation,
    Conv,
    Layer,
    MaxPool,
)
from roadmap.drawing.parts import DrawnPart, marks_of, part_roles, roles_of, size_after
from roadmap.drawing.svg import LINE, Area, ink, label, picture
from roadmap.drawing.words import conv_text, lane_text, layer_words, short_name, side
from roadmap.palette import BLUE
from roadmap.text import counted

Roles = dict[tuple[str, ...], Layer]
# Columns of a panel, in pixels: shortcut, layers, names.
WIDTH, LANE, CENTER, SHAPE, MARK, NAME = 340, 42, 146, 116, 220, 236
CONV, PILL, PLUS = 44, 24, 34  # heights of rows
MARKS = {"added": "+", "removed": "−", "changed": "Δ"}
#: Left edge of a layer's area, right of the shortcut.
AREA = LANE + 44


class Panel(NamedTuple):
    """A picture of a part, and an area per layer, whose name is the layer's role."""

    svg: str
    areas: tuple[Area, ...]


def panels_of(
    before: DrawnPart | None, after: DrawnPart, shapes: bool = False
) -> tuple[Panel, ...]:
    parts = [part for part in (before, after) if part]
    widest = max(max(_channels(part)) for part in parts)
    new = _draw(after, marks_of(after, before, "added"), widest, shapes)
    if before is None:
        return (new,)
    return (_draw(before, marks_of(before, after, "removed"), widest, shapes), new)


def _channels(part: DrawnPart) -> list[int]:
    convs = [layer for layer in part_roles(part).values() if isinstance(layer, Conv)]
    return [part.channels] + [conv.out_channels for conv in convs]


def _draw(
    part: DrawnPart, marks: dict[tuple[str, ...], str], widest: int, shapes: bool = False
) -> Panel:
    """Draw one panel: input at the top, layers top to bottom, the shortcut at the left."""
    canvas = _Canvas(widest, part.size if shapes else None)
    canvas.end(14, part.size, part.channels)
    y, size = 34.0, part.size
    y = canvas.layers(y, roles_of(part.lead, "lead"), marks)
    size = size_after(part.lead, size)
    if part.block:
        split = y - 2
        y += 8
        y = canvas.layers(y, roles_of(part.block.branch, "branch"), marks)
        canvas.shortcut(split, y, roles_of(part.block.shortcut, "shortcut"), marks)
        y = canvas.plus(y)
        if part.block.activation:
            y = canvas.layers(y, {("after",): Activation("act", part.block.activation)}, marks)
        size = size_after(part.block.branch, size)
    out = _channels_out(part)
    canvas.end(y + 16, size, out)
    return Panel(canvas.svg(y + 22, _described(part, marks, size, out)), tuple(canvas.areas))


def _channels_out(part: DrawnPart) -> int:
    layers = part.block.branch if part.block else part.lead
    return [layer for layer in layers if isinstance(layer, Conv)][-1].out_channels


class _Canvas:
    """Collects SVG elements; ``widest`` is the number of channels that fills the width.

    If the input's ``size`` is given, each layer that changes channels or pixels shows its output:
    height, width, channels."""

    def __init__(self, widest: int, size: int | None = None):
        self.widest = widest
        self.size = size  # of the current feature map, if layers show their output
        self.drawn = 20.0  # bottom of the drawing, where the next line starts
        self.elements: list[str] = []
        self.areas: list[Area] = []

    def width(self, channels: int) -> float:
        return max(SHAPE * channels / self.widest, 5.0)

    def end(self, y: float, size: int, channels: int) -> None:
        """Write the size of input or output, with its baseline at ``y``."""
        if y > self.drawn:
            self._line(y - 12)
        text = f"{size} × {size}, {counted(channels, 'channel')}"
        self.elements.append(label(CENTER, y, text, anchor="middle", faint=True))

    def _line(self, top: float, bottom: float | None = None) -> None:
        """Draw the line from the last shape to the next one, between ``top`` and ``bottom``."""
        self.elements.append(f'<path d="M{CENTER},{self.drawn:.1f} V{top:.1f}" {LINE}/>')
        self.drawn = top if bottom is None else bottom

    def layers(self, y: float, roles: Roles, marks: dict[tuple[str, ...], str]) -> float:
        """Draw layers from top to bottom, from ``y``; return where the next part begins."""
        for role, layer in roles.items():
            end = self.layer(y, layer, marks.get(role))
            height = end - y - (6 if end - y <= PILL else 2)
            self._area(role, layer, AREA, y - 1, WIDTH - AREA, height)
            y = end
        return y

    def _area(
        self, role: tuple[str, ...], layer: Layer, x: float, y: float, width: float, height: float
    ) -> None:
        self.areas.append(Area(".".join(role), layer_words(layer), x, y, width, height + 2))

    def layer(self, y: float, layer: Layer, mark: str | None) -> float:
        """Draw ``layer`` with its top at ``y``; return the top of the next one."""
        if isinstance(layer, Conv):
            self._conv(y, layer, mark)
            return y + CONV
        if isinstance(layer, MaxPool):
            self._pill(y + 8, f"{side(layer)} max pool", mark, f"stride {layer.stride}")
            self._shape(y + 36, layer)
            return y + CONV - 8
        self._pill(y, short_name(layer), mark, "")
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
        first, second = conv_text(conv)
        bold = mark in ("added", "changed")
        lines = (-3, 12) if self.size is None else (-6, 8, 21)  # with the output's shape or not
        middle = y + height / 2
        self.elements.append(label(NAME, middle + lines[0], first, bold=bold, struck=mark))
        self.elements.append(label(NAME, middle + lines[1], second, faint=True))
        self._shape(middle + lines[-1], conv)

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
        roles: Roles,
        marks: dict[tuple[str, ...], str],
    ) -> None:
        end = bottom + PLUS / 2 - 4
        y = (top + end - PILL * len(roles)) / 2
        self.elements.append(
            f'<path d="M{CENTER},{top:.1f} H{LANE + 8} Q{LANE},{top:.1f} {LANE},{top + 8:.1f} '
            f'V{y if roles else end - 8:.1f}" {LINE}/>'
        )
        for role, layer in roles.items():
            self._lane_pill(y, lane_text(layer), marks.get(role))
            self._area(role, layer, LANE - 42, y - 1, 84, 18)
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


def depth_rows(config: ModelConfig, other: ModelConfig, mark: str, cell: float) -> str:
    """Draw one row of squares per stage; blocks that ``other`` lacks are marked."""
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
    """Draw the kernel as ``kernel`` x ``kernel`` cells."""
    cell = min(2.7, 31 / kernel)
    half = kernel * cell / 2
    lines = "".join(
        f"M{x - half:.1f},{y - half + i * cell:.1f}h{2 * half:.1f}"
        f"M{x - half + i * cell:.1f},{y - half:.1f}v{2 * half:.1f}"
        for i in range(kernel + 1)
    )
    return f'<path d="{lines}" fill="none" stroke="currentColor" stroke-width="0.7"/>'


def _described(part: DrawnPart, marks: dict[tuple[str, ...], str], size: int, channels: int) -> str:
    """Describe the panel in words: layers in order, with each change."""
    words = [f"Input {part.size} by {part.size}, {counted(part.channels, 'channel')}"]
    for role, layer in part_roles(part).items():
        text = layer_words(layer)
        place = {"shortcut": "on the shortcut ", "after": "after the addition "}.get(role[0], "")
        words.append(place + text + (f" ({marks[role]})" if role in marks else ""))
    return "; ".join(words) + f"; output {size} by {size}, {counted(channels, 'channel')}."
