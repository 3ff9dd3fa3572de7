"""The page's HTML at every depth: two networks, a stage, a block, a layer, a channel, a value.

All text is escaped. An element with ``data-go`` opens a part; ``data-field`` on a group of maps has
start, stride and size of their receptive fields in pixels, the side of a map in positions and that
of the network's input in pixels. ``view.js`` does the rest.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from html import escape

from models.spec import Conv, NetworkSpec, StageSpec, network_spec
from roadmap.drawing.diagrams import StageRow, stage_table
from roadmap.drawing.words import ACTIVATIONS, conv_text
from roadmap.html_table import Cell, html_table, row_head
from roadmap.text import counted
from roadmap.views.picture.networks import Outputs, Trained
from roadmap.views.picture.sheets import Sheet, sheet, strongest
from roadmap.views.picture.terms import Explanation, Grid, Window, explain, figure
from roadmap.views.picture.tree import IMAGE, NetworkPart, OpenedPart, above, tree

#: Maps per part in the overview, in a list of blocks or layers, and classes at the end.
FEW, SEVERAL, CLASSES = 4, 8, 5


@dataclass(frozen=True)
class Side:
    """One of the two networks with a picture's outputs."""

    side: str
    title: str
    trained: Trained
    outputs: Outputs

    @property
    def parts(self) -> Mapping[str, NetworkPart]:
        return tree(self.trained.config, self.trained.image_size)

    def place(self, path: str) -> str:
        return f"{self.side}.{path}"


# Overview


def overview(shown: Sequence[Side], right: str = "") -> str:
    """Return both networks as columns of stages, with what differs and the class ``right``
    marked."""
    rows = "".join(
        _network(one, other, right) for one, other in zip(shown, shown[::-1], strict=True)
    )
    return f'<div class="networks">{rows}</div>'


def _network(one: Side, other: Side, right: str) -> str:
    label = f"network-{one.side}"
    columns = "".join(_column(one, other, path) for path in _columns(one))
    return (
        f'<section class="network" aria-labelledby="{label}"><h2 id="{label}">'
        f"{escape(one.title)} <small>{escape(one.trained.note)}</small></h2>"
        f'<ol class="columns">{columns}<li class="column end">'
        f"{_classes(one, other, right)}</li></ol></section>"
    )


def _columns(shown: Side) -> list[str]:
    return [
        path
        for path in shown.parts
        if path == "stem" or (path.count(".") == 1 and path[-1:].isdigit())
    ]


def _column(one: Side, other: Side, path: str) -> str:
    part = one.parts[path]
    row, rival = (_rows(each).get(part.title) for each in (one, other))
    differs = _spec(one, path) != _spec(other, path)
    lines = "".join(
        f"<span{_bold(line not in (rival.lines if rival else ()))}>{escape(line)}</span>"
        for line in (row.lines if row else ())
    )
    times = ""
    if row and path != "stem":
        changed = rival is None or rival.times != row.times
        times = f"<span{_bold(changed)}>{counted(row.times, 'block')}</span>"
    return (
        f'<li class="column"><button type="button" class="open" data-go="{one.place(path)}">'
        f"<b>{_delta(differs)}{part.title}</b>{_maps(one, part, FEW)}"
        f'<span class="size">{part.size} × {part.size} × {part.channels}</span>'
        f'<span class="lines">{times}{lines}</span></button></li>'
    )


def _rows(shown: Side) -> Mapping[str, StageRow]:
    rows = stage_table(shown.trained.config, shown.trained.image_size)
    return {row.name: row for row in rows}


def _spec(shown: Side, path: str) -> object:
    """Return the layers of a column, without what only training uses."""
    spec: NetworkSpec = network_spec(shown.trained.config)
    if path == "stem":
        return spec.stem
    number = int(path.rpartition(".")[2])
    if number >= len(spec.stages):
        return None
    stage: StageSpec = spec.stages[number]
    blocks = [(block.branch, block.shortcut, block.activation) for block in stage.blocks]
    return stage.downsample, blocks


def _bold(differs: bool) -> str:
    return ' class="differs"' if differs else ""


def _delta(differs: bool) -> str:
    return '<i class="delta" role="img" aria-label="differs">Δ</i> ' if differs else ""


def top_classes(shown: Side) -> list[tuple[str, float]]:
    """Return the most probable classes with their probabilities."""
    found = zip(shown.trained.classes, shown.outputs.probabilities, strict=True)
    return sorted(found, key=lambda each: -each[1])[:CLASSES]


def percent(share: float) -> str:
    """Write a probability in whole percent as HTML; no class is impossible or certain."""
    if share < 0.005:
        return "&lt;1%"
    return "&gt;99%" if share >= 0.995 else f"{share:.0%}"


def _classes(one: Side, other: Side, right: str) -> str:
    theirs = {word for word, _ in top_classes(other)}
    tick = {right: ' <i class="right" role="img" aria-label="correct">✓</i>'}
    items = "".join(
        f"<li><span>{_delta(word not in theirs)}{escape(word)}{tick.get(word, '')}</span>"
        f'<em>{percent(share)}</em><i style="width:{share:.1%}"></i></li>'
        for word, share in top_classes(one)
    )
    return f'<b>Top {CLASSES}</b><ol class="classes">{items}</ol>'


# Stage, block and layer


def inside(shown: Side, opened: OpenedPart) -> str:
    """Return what is inside a part: its blocks or layers, or a layer's channels."""
    part = shown.parts[opened.path]
    if opened.channel is not None:
        return _channel(shown, part, opened)
    if part.layer is not None:
        return _layer(shown, part)
    cards = "".join(_card(shown, shown.parts[path]) for path in part.inside)
    result = ""
    if part.block is not None:
        kind = part.block.activation
        after = f", then {ACTIVATIONS[kind]}" if kind else ""
        result = (
            f'<li class="card"><div class="open"><b>Branch + shortcut{after}</b>'
            f"{_maps(shown, part, SEVERAL, links=True)}{_size(part)}</div></li>"
        )
    return f'<ol class="cards">{cards}{result}</ol>'


def _card(shown: Side, part: NetworkPart) -> str:
    place = "Shortcut: " if ".shortcut." in part.path else ""
    return (
        f'<li class="card"><button type="button" class="open" data-go="{shown.place(part.path)}">'
        f"<b>{place}{escape(part.title)}</b>{_maps(shown, part, SEVERAL)}{_size(part)}"
        "</button></li>"
    )


def _size(part: NetworkPart) -> str:
    return f'<span class="size">{part.size} × {part.size} × {part.channels}</span>'


def _layer(shown: Side, part: NetworkPart) -> str:
    return (
        f'<p class="note">{escape(_about(part))}</p>'
        f"{_maps(shown, part, part.channels, links=True, kind='all')}"
    )


def _about(part: NetworkPart) -> str:
    channels = counted(part.channels, "channel")
    if isinstance(part.layer, Conv):
        return f"{', '.join(conv_text(part.layer))}. {channels}, strongest first."
    return f"{channels}, strongest first."


def _maps(shown: Side, part: NetworkPart, count: int, links: bool = False, kind: str = "") -> str:
    """Return the strongest maps of a part; with ``links``, each opens its channel."""
    maps = shown.outputs.maps[part.path].numpy()
    drawn = sheet(maps, strongest(maps, count))
    items = (
        _map(shown, part, drawn, index, channel, links)
        for index, channel in enumerate(drawn.channels)
    )
    return f'<span class="maps {kind}" {_group(shown, part, drawn)}>{"".join(items)}</span>'


def _map(
    shown: Side, part: NetworkPart, drawn: Sheet, index: int, channel: int, links: bool
) -> str:
    style = f'style="background-position:{drawn.at(index)}"'
    if not links:
        return f'<span class="map" {style}></span>'
    go = OpenedPart(shown.side, part.path, channel)
    return (
        f'<button type="button" class="map" data-go="{go}" aria-label="Channel {channel}" '
        f'title="Channel {channel}" {style}></button>'
    )


def _group(shown: Side, part: NetworkPart, drawn: Sheet) -> str:
    field = part.field
    values = (field.start, field.stride, field.size, part.size, shown.trained.image_size)
    return (
        f'data-field="{" ".join(map(str, values))}" '
        f'style="--sheet:url({drawn.uri});--columns:{drawn.columns};--rows:{drawn.rows}"'
    )


# A channel and one of its values


def _channel(shown: Side, part: NetworkPart, opened: OpenedPart) -> str:
    assert opened.channel is not None
    maps = shown.outputs.maps[part.path].numpy()
    drawn = sheet(maps, [opened.channel])
    prefix = OpenedPart(opened.side, opened.path, opened.channel)
    at = f'data-at="{opened.position[0]},{opened.position[1]}"' if opened.position else ""
    grid = (
        f'<div class="maps one" {_group(shown, part, drawn)}><button type="button" class="map grid"'
        f' data-prefix="{prefix}" {at} aria-label="Map of channel {opened.channel}, {part.size} by '
        f'{part.size}. Arrow keys choose a value, Enter opens it.">'
        '<i class="cursor"></i></button></div>'
    )
    if opened.position is None:
        steps = '<p class="note">Click a value, or choose it with the arrow keys and Enter.</p>'
    else:
        found = explain(shown.trained, shown.outputs, part, opened.channel, opened.position)
        steps = _explained(found, _source_title(shown, part))
    return f'<div class="channel">{grid}<div class="sum" aria-live="polite">{steps}</div></div>'


def _source_title(shown: Side, part: NetworkPart) -> str:
    """Return the name of the part's input, with its stage and block if they are others."""
    if part.source == IMAGE:
        return "the picture"
    source = shown.parts[part.source]
    if source.block is None:
        return source.title
    stage = shown.parts[source.path.partition(".blocks.")[0]]
    return f"{stage.title}, {source.title.lower()}"


def _explained(found: Explanation, source: str) -> str:
    result = f'<p class="result">= <b>{figure(found.value)}</b></p>'
    if found.formula:
        return f'<p class="formula">{escape(found.formula)}</p>{result}'
    if found.windows and not found.windows[0].weights:
        window = found.windows[0]
        return f'<p class="formula">Largest of</p>{_grid(window.inputs, window.sum)}{result}'
    single = all(len(window.weights) == 1 for window in found.windows)
    body = _products(found.windows) if single else "".join(map(_pair, found.windows))
    lines = []
    if found.others[0]:
        more = counted(found.others[0], "other channel")
        lines.append(f"<dt>{more}</dt><dd>{figure(found.others[1])}</dd>")
    if found.bias is not None:
        lines.append(f"<dt>bias</dt><dd>{figure(found.bias)}</dd>")
    rest = f'<dl class="rest">{"".join(lines)}</dl>' if lines else ""
    return f'<p class="note">Inputs × weights, from {escape(source)}</p>{body}{rest}{result}'


def _products(windows: Iterable[Window]) -> str:
    rows: list[list[Cell | str]] = [
        [
            row_head(str(window.channel)),
            *map(figure, (window.inputs[0][0] or 0.0, window.weights[0][0] or 0.0, window.sum)),
        ]
        for window in windows
    ]
    return html_table(("Channel", "Input", "Weight", "Product"), rows, "products")


def _pair(window: Window) -> str:
    return (
        f'<div class="pair"><span class="name">Channel {window.channel}</span>'
        f'{_grid(window.inputs)}<span class="times">×</span>{_grid(window.weights)}'
        f'<span class="share">→ {figure(window.sum)}</span></div>'
    )


def _grid(values: Grid, mark: float | None = None) -> str:
    """Return k × k numbers on their colors; ``mark`` outlines the first cell of that value."""
    largest = max((abs(x) for row in values for x in row if x is not None), default=0.0) or 1.0
    cells = []
    for row in values:
        cells.append("<tr>")
        for x in row:
            if x is None:
                cells.append('<td class="padding" title="padding">0</td>')
                continue
            sign = "positive" if x > 0 else "negative"
            marked = " marked" if mark is not None and x == mark else ""
            share = f"{abs(x) / largest:.0%}"
            cells.append(f'<td class="{sign}{marked}" style="--share:{share}">{_short(x)}</td>')
        cells.append("</tr>")
    return f'<table class="grid">{"".join(cells)}</table>'


def _short(value: float) -> str:
    return f"{value:.2f}".replace("-", "−")


# Breadcrumb


def breadcrumb(shown: Sequence[Side], opened: OpenedPart | None) -> str:
    """Return the way from both networks to what is opened."""
    if opened is None:
        return ""
    one = next(each for each in shown if each.side == opened.side)
    steps = [("", "Both networks")]
    for place in above(opened, one.parts):
        name = one.parts[place.path].title
        if place.position is not None:
            name = f"Row {place.position[0]}, column {place.position[1]}"
        elif place.channel is not None:
            name = f"Channel {place.channel}"
        steps.append((str(place), name))
    steps[1] = (steps[1][0], f"{one.title}: {steps[1][1]}")
    items = [
        f'<li><button type="button" data-go="{go}">{escape(name)}</button></li>'
        for go, name in steps[:-1]
    ]
    items.append(f'<li aria-current="page">{escape(steps[-1][1])}</li>')
    other = next(each for each in shown if each.side != opened.side)
    if opened.path in other.parts:
        go = other.place(opened.path)
        items.append(
            f'<li class="other"><button type="button" data-go="{go}">'
            f"Same part of {escape(other.title)}</button></li>"
        )
    return f'<nav aria-label="Parts"><ol class="crumbs">{"".join(items)}</ol></nav>'
