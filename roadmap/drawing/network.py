"""A whole network in one picture: stages from top to bottom, each block a slab whose width is the
size of its feature map, with shapes and costs beside it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from models.config import ModelConfig
from models.spec import Conv, StageSpec, network_spec
from roadmap.drawing.diagrams import Diagram, stage_table
from roadmap.drawing.svg import LINE, Area, ink, label, picture
from roadmap.drawing.words import NORMS, lane_text
from roadmap.measure.complexity import Complexity, count
from roadmap.text import number

WIDTH, CENTER, SHAPE, TEXT = 384, 98, 188, 208  # columns of a panel, in pixels
ROW, GAP, SLABS = 50, 24, 200  # minimum height of a part, line between parts, all slabs
INPUT, HEAD = "input", "head"  # names of areas, besides those of ``diagrams.part_names``


@dataclass(frozen=True)
class _Row:
    """A part of the network; ``slabs`` is its number of blocks, ``words`` the lines beside them.

    ``layers`` is its specification, since two parts with the same figures may still differ.
    ``entry`` says how a stage reduces the resolution, if it does.
    """

    name: str
    size: int
    slabs: int
    words: tuple[str, ...]
    layers: object
    entry: str = ""


def network_diagram(
    before: ModelConfig | None, after: ModelConfig, image_size: int = 224
) -> Diagram:
    """Draw ``after`` beside ``before``, if any; equal networks are drawn once.

    Raises ``ValueError`` for an image too small for the network.
    """
    configs = [config for config in (before, after) if config]
    columns = [_rows(config, image_size) for config in configs]
    if len(columns) == 2 and columns[0] == columns[1]:
        configs, columns = configs[1:], columns[1:]
    widest = max(row.size for rows in columns for row in rows)
    thickness = min(9.0, SLABS / max(sum(config.depths) for config in configs))
    panels: list[str] = []
    areas: tuple[Area, ...] = ()
    for place, rows in enumerate(columns):
        other = {row.name: row for row in columns[1 - place]} if len(columns) == 2 else None
        mark = "added" if place else "removed"
        svg, areas = _panel(configs[place], image_size, rows, other, mark, widest, thickness)
        panels.append(svg)
    return Diagram("The network", tuple(panels), areas)


def _rows(config: ModelConfig, image_size: int) -> list[_Row]:
    spec, counted = network_spec(config), count(config, image_size)
    sizes = {row.name: int(row.size.split()[0]) for row in stage_table(config, image_size)}
    stem = [layer for layer in spec.stem if isinstance(layer, Conv)][-1]
    rows = [_row("Stem", sizes["Stem"], stem.out_channels, spec.stem, counted, "stem")]
    for index, stage in enumerate(spec.stages):
        name = f"Stage {index + 1}"
        channels, path = config.output_width(index), f"stages.{index}"
        rows.append(_row(name, sizes[name], channels, stage, counted, path))
    outputs = spec.num_classes or spec.num_features
    head = _row("Head", 1, outputs, spec.head_norm, counted, "head")
    norm = f", {NORMS[spec.head_norm.kind]}" if spec.head_norm else ""
    last = f"{outputs:,} {'classes' if spec.num_classes else 'features'}"
    words = (f"Head: pooling{norm}", last, head.words[-1])
    return [*rows, _Row("Head", 1, 0, words, head.layers)]


def _row(
    name: str, size: int, channels: int, layers: object, counted: Complexity, path: str
) -> _Row:
    depth = len(layers.blocks) if isinstance(layers, StageSpec) else 0
    modules = [module for module in counted.modules if module.path.startswith(f"{path}.")]
    parameters = _rounded(sum(module.parameters for module in modules) / 1e6)
    gflops = _rounded(sum(module.macs for module in modules) / 1e9)
    blocks = f": {depth} block{'s' * (depth != 1)}" if depth else ""
    shape = f"{size} × {size} × {channels}"
    words = (name + blocks, shape, f"{parameters} M, {gflops} GFLOPs")
    return _Row(name, size, depth, words, layers, _entry(layers))


def _entry(layers: object) -> str:
    """Say how the resolution is reduced before a stage: ``layer norm, 2×2 stride 2``."""
    if not isinstance(layers, StageSpec):
        return ""
    if layers.downsample:
        return ", ".join(map(lane_text, layers.downsample))
    convs = [layer for layer in layers.blocks[0].branch if isinstance(layer, Conv)]
    strides = [conv.stride for conv in convs if conv.stride > 1]
    return f"first block: stride {strides[0]}" if strides else ""


def _rounded(value: float) -> str:
    return number(value, 2 if value >= 0.1 else 3)


def _panel(
    config: ModelConfig,
    image_size: int,
    rows: Sequence[_Row],
    other: dict[str, _Row] | None,
    mark: str,
    widest: int,
    thickness: float,
) -> tuple[str, tuple[Area, ...]]:
    text = f"{image_size} × {image_size} × {config.in_channels}"
    pieces, y = [label(CENTER, 14, text, anchor="middle", faint=True)], 20.0
    areas = [Area(INPUT, "Input", 0, 0, WIDTH, 20)]
    for row in rows:
        pieces.append(f'<path d="M{CENTER},{y:.1f} v{GAP - 2}" {LINE}/>')
        if row.slabs:
            areas.append(
                Area(f"first{row.name[-1]}", f"Into {row.name.lower()}", 0, y, WIDTH, GAP - 4)
            )
        if row.entry:
            pieces.append(label(TEXT, y + 14, row.entry, faint=True))
        y += GAP
        begin = y
        theirs = other.get(row.name) if other else None
        changed = mark == "added" and theirs is not None and theirs != row
        pieces += _texts(row, y, changed)
        shared = theirs.slabs if theirs else row.slabs
        y = _shapes(pieces, row, shared, mark, y, SHAPE * row.size / widest, thickness)
        name = row.name.lower().replace(" ", "")
        areas.append(Area(name, row.name, 0, begin - 4, WIDTH, y - begin + 4))
    return picture(WIDTH, y + 8, "".join(pieces), _described(config, rows)), tuple(areas)


def _texts(row: _Row, y: float, changed: bool) -> list[str]:
    first, *rest = row.words
    sign = "Δ " if changed else ""
    return [
        label(TEXT, y + 12, sign + first, bold=changed),
        *(label(TEXT, y + 28 + 15 * line, text, faint=True) for line, text in enumerate(rest)),
    ]


def _shapes(
    pieces: list[str],
    row: _Row,
    shared: int,
    mark: str,
    y: float,
    width: float,
    thickness: float,
) -> float:
    """Draw the blocks as slabs, or one pill for a part without blocks; return the part's bottom."""
    if not row.slabs:
        width = max(width, 44)
        pieces.append(_box(y, width, 18, ink(None, solid=False), 9))
        end = y + 18
    else:
        for index in range(row.slabs):
            drawn = ink(mark if index >= shared else None)
            pieces.append(_box(y + index * thickness, max(width, 5), thickness * 0.78, drawn))
        end = y + row.slabs * thickness
    bottom = max(end, y + ROW)
    if row.name != "Head":
        pieces.append(f'<path d="M{CENTER},{end:.1f} V{bottom:.1f}" {LINE}/>')
    return bottom


def _box(y: float, width: float, height: float, drawn: str, radius: float = 1) -> str:
    return (
        f'<rect x="{CENTER - width / 2:.1f}" y="{y:.1f}" width="{width:.1f}" '
        f'height="{height:.1f}" rx="{radius}" {drawn}/>'
    )


def _described(config: ModelConfig, rows: Sequence[_Row]) -> str:
    parts = "; ".join(", ".join(row.words).replace("×", "by") for row in rows)
    return f"Network of {sum(config.depths)} blocks. {parts}."
