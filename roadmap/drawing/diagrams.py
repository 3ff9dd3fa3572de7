"""Diagrams as inline SVG, drawn from the block specification, so they always agree with it.

Text and lines use ``currentColor``, so they follow the theme of the surrounding page. Changed
layers have a mark besides their color. Text alternatives are in ``aria-label``.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from html import escape

from models.config import ModelConfig
from models.spec import (
    Conv,
    Layer,
    MaxPool,
    network_spec,
)
from roadmap.drawing.canvas import Panel, depth_rows, panels_of
from roadmap.drawing.parts import (
    DrawnPart,
    block_part,
    first_part,
    signature,
    size_after,
    stem_part,
)
from roadmap.drawing.svg import Area, sheet
from roadmap.drawing.words import NORMS, side

STEM, BLOCK, STAGES = "The stem", "The block", "Blocks per stage"


@dataclass(frozen=True)
class Diagram:
    """A title and the SVGs to show side by side (before and after, or only one).

    ``areas`` are the boxes of the parts in the last panel. Notebooks show it as one picture.
    """

    title: str
    panels: tuple[str, ...] = field(repr=False)
    areas: tuple[Area, ...] = field(default=(), repr=False)

    def _repr_svg_(self) -> str:
        sides = ("before", "after") if len(self.panels) == 2 else ()
        return sheet(self.panels, [f"{self.title}, {side}" for side in sides] or [self.title])


@dataclass(frozen=True)
class StageRow:
    """A row of the stage table: ``lines`` are layers in order, repeated ``times``."""

    name: str
    size: str
    lines: tuple[str, ...]
    times: int = 1


def step_diagrams(
    before: ModelConfig | None, after: ModelConfig, image_size: int = 224
) -> list[Diagram]:
    """Draw what changes from ``before`` to ``after``: stem, depths, block, downsampling.

    Without ``before``, draw the stem and the block of ``after``. Equal configs give no diagrams.
    Raises ``ValueError`` if the image is too small for the network.
    """
    diagrams = []
    if before is not None and before.depths != after.depths:
        diagrams.append(depth_diagram(before, after))
    for title, part in ((STEM, stem_part), (BLOCK, block_part)):
        old = part(before, image_size) if before else None
        new = part(after, image_size)
        if old is None or signature(old) != signature(new):
            diagrams.append(_diagram(title, panels_of(old, new)))
    stages = min(len(config.depths) for config in (before, after) if config)
    if before is not None and before.downsampling != after.downsampling and stages > 1:
        old, new = first_part(before, image_size, 1), first_part(after, image_size, 1)
        diagrams.append(_diagram("From the first stage to the second", panels_of(old, new)))
    return diagrams


def part_names(config: ModelConfig) -> dict[str, str]:
    """Return the parts that ``part_diagram`` can draw, ``{key: name}``, in network order."""
    names = {"stem": "Stem"}
    for stage in range(1, len(config.depths) + 1):
        names |= {f"first{stage}": f"Into stage {stage}", f"stage{stage}": f"Stage {stage}"}
    return names


def part_diagram(
    before: ModelConfig | None, after: ModelConfig, part: str, image_size: int = 224
) -> Diagram:
    """Draw ``part`` (a key of ``part_names``) before and after, with each layer's output shape.

    ``first2`` is the first block of stage 2 with its downsampling, ``stage2`` a later block. If
    nothing differs, there is one panel. Raises ``ValueError`` if the image is too small for the
    network, ``KeyError`` for an unknown part.
    """
    title = part_names(after)[part]
    old = _part(before, image_size, part) if before else None
    new = _part(after, image_size, part)
    if old == new:
        old = None
    return _diagram(title, panels_of(old, new, shapes=True))


def _diagram(title: str, panels: Sequence[Panel]) -> Diagram:
    return Diagram(title, tuple(panel.svg for panel in panels), panels[-1].areas)


def _part(config: ModelConfig, image_size: int, part: str) -> DrawnPart:
    if part == "stem":
        return stem_part(config, image_size)
    stage = int(part[-1]) - 1
    return (first_part if part.startswith("first") else block_part)(config, image_size, stage)


def side_by_side(panels: Sequence[str], captions: Sequence[str] = ("Before", "After")) -> str:
    """Arrange panels in one row under their captions, or stacked if there is no room."""
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
    """Draw blocks per stage as rows of squares, before and after."""
    cell = min(16.0, 250 / max(*before.depths, *after.depths))
    panels = (depth_rows(before, after, "removed", cell), depth_rows(after, before, "added", cell))
    return Diagram(STAGES, panels)


def stage_table(config: ModelConfig, image_size: int = 224) -> list[StageRow]:
    """Return the paper's Table 9 for any network: stem, stages and head with output sizes.

    Raises ``ValueError`` for an image too small for the network.
    """
    spec = network_spec(config)
    size = size_after(spec.stem, image_size)
    rows = [StageRow("Stem", f"{size} × {size}", _lines(spec.stem))]
    for index, stage in enumerate(spec.stages):
        name = f"Stage {index + 1}"
        size = size_after(stage.downsample + stage.blocks[0].branch, size)
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
    """Abbreviate convolutions and pooling; ``d`` marks depthwise, as in the paper."""
    lines = []
    for layer in layers:
        if isinstance(layer, Conv):
            kind = "d" if layer.depthwise else ""
            text = f"{kind}{side(layer)}, {layer.out_channels}"
            lines.append(text + (f", stride {layer.stride}" if layer.stride > 1 else ""))
        elif isinstance(layer, MaxPool):
            lines.append(f"{side(layer)} max pool, stride {layer.stride}")
    return tuple(lines)
