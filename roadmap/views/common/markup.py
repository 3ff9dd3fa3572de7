"""HTML fragments for ``st.html``; all text is escaped here."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape

from models.text import ended
from roadmap.drawing.diagrams import Diagram, StageRow, side_by_side
from roadmap.html_table import NUMBER, Cell, Row, html_table, numbers, row_head


def notice(text: str) -> str:
    return f'<p class="notice" role="status">{escape(ended(text))}</p>'


def announced(text: str) -> str:
    """Return text for screen readers, read out each time it changes."""
    return f'<p class="announced" role="status">{escape(text)}</p>'


def own_machine(sentence: str, *commands: str) -> str:
    """Return a box with commands to run on the reader's own machine."""
    return (
        '<div class="own" role="note"><p class="own-place"><i aria-hidden="true"></i>On your own '
        f"machine</p><p>{escape(sentence)}</p>" + command("\n".join(commands)) + "</div>"
    )


def folded(first: str, more: str, classes: str) -> str:
    """Return the sentence ``first`` that opens ``more``, both as HTML."""
    return f'<details class="{classes}"><summary>{first}</summary><p>{more}</p></details>'


def nothing(text: str, commands: str) -> str:
    """Return what a page shows until the reader has trained something, and how that is done."""
    return f'<div class="nothing">{paragraph(text, "text")}{command(commands)}</div>'


def command(text: str) -> str:
    return f'<pre class="command" tabindex="0">{escape(text)}</pre>'


def paragraph(text: str, kind: str) -> str:
    return f'<p class="{kind}">{escape(text)}</p>'


def heading(text: str, level: int, kind: str) -> str:
    return f'<h{level} class="{kind}">{escape(text)}</h{level}>'


def opening(title: str, lead: str) -> str:
    """Return the title of a page and the paragraph below it."""
    return heading(title, 1, "title") + paragraph(lead, "lead")


def figures_table(caption: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table of name, unit, value and change; ``caption`` heads the last two columns."""
    lines = (
        [
            row_head(text, after=f' <span class="unit">{escape(unit)}</span>'),
            Cell(value, f"{NUMBER} now"),
            Cell(change, NUMBER),
        ]
        for text, unit, value, change in rows
    )
    return html_table(["", *numbers(caption)], lines)


def figures_strip(caption: str, rows: Iterable[Sequence[str]]) -> str:
    """Return figures (name, unit, value, change) side by side."""
    items = "".join(
        f'<li><span>{escape(text)} <span class="unit">{escape(unit)}</span></span>'
        f'<span><b class="now">{escape(value)}</b> {escape(change)}</span></li>'
        for text, unit, value, change in rows
    )
    return f'<p class="eyebrow">{escape(caption)}</p><ul class="strip-figures">{items}</ul>'


def recipe_table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    return html_table(head, rows, "recipe")


def drawing(diagram: Diagram, captions: Sequence[str], key: Iterable[tuple[str, str]]) -> str:
    """Return a diagram under its title, with ``key`` (signs and meanings) in the margin."""
    margin = signs(key)
    return (
        heading(diagram.title, 3, "subsection")
        + f'<div class="drawing">{side_by_side(diagram.panels, captions)}{margin}</div>'
    )


def signs(key: Iterable[tuple[str, str]]) -> str:
    """Return signs with their meanings as a list; nothing if there are none."""
    items = "".join(f"<li><b>{escape(sign)}</b>{escape(text)}</li>" for sign, text in key)
    return f'<ul class="key">{items}</ul>' if items else ""


def stages_table(before: Sequence[StageRow] | None, after: Sequence[StageRow]) -> str:
    """Return the paper's Table 9 for a step and the one before it, if any; a Δ marks changes."""
    old = {row.name: row for row in before or ()}
    new = {row.name: row for row in after}
    names = list(dict.fromkeys([*old, *new]))
    names.sort(key=_order)
    columns = ["Part", "Output", *(["Before"] if before else []), "This step"]
    rows = (_stage_line(part, old, new, before is not None) for part in names)
    return html_table(columns, rows, "stages")


def _order(name: str) -> tuple[float, str]:
    """Return the row for a stem, a stage, a downsampling layer or the head."""
    if name == "Stem":
        return (0.0, name)
    if name == "Head":
        return (99.0, name)
    kind, number = name.split()
    return (int(number) + (0.5 if kind == "Downsampling" else 0.0), name)


def _stage_line(
    part: str, old: dict[str, StageRow], new: dict[str, StageRow], compared: bool
) -> Row:
    here, there = new.get(part), old.get(part)
    changed = compared and here != there
    size = (here or there).size  # type: ignore[union-attr]  # the name is of one of them
    cells = [row_head(part), Cell(size)]
    if compared:
        cells.append(Cell(before=_layers(there)))
    mark = _delta("changed") if changed else ""
    cells.append(Cell(before=f'<span class="now">{mark}{_layers(here)}</span>'))
    return Row(cells, "changed" if changed else "")


def _layers(row: StageRow | None) -> str:
    if row is None:
        return "in the next block"
    lines = "<br>".join(escape(line) for line in row.lines)
    if row.name.startswith("Stage"):
        return f'<span class="block"><span class="layers">{lines}</span>× {row.times}</span>'
    return f'<span class="plain">{lines}</span>'


def image_downloads(name: str) -> str:
    """Return buttons that save the chart above them, handled by ``script.html``."""
    buttons = "".join(
        f'<button type="button" data-save="{kind.lower()}" data-name="{escape(name)}">{kind}'
        "</button>"
        for kind in ("PNG", "SVG")
    )
    return f'<div class="downloads">{buttons}</div>'


def numbered(names: Iterable[str], *, selected: int) -> str:
    """Return the names for a chart's numbers, from 1; the ``selected`` one is highlighted."""
    items = "".join(
        f'<li class="{"now" if place == selected else ""}">{escape(name)}</li>'
        for place, name in enumerate(names)
    )
    return f'<ol class="numbered">{items}</ol>'


def refusal(text: str) -> str:
    """Return the message under a control with an invalid value."""
    return f'<p class="refusal" role="alert">{escape(text)}</p>'


def summary_bar(figures: Iterable[tuple[str, str, str]]) -> str:
    """Repeat figures (value, unit, change) in a bar that stays visible on narrow screens."""
    items = "".join(
        f"<span><b>{escape(value)}</b> {escape(unit)} {escape(change)}</span>"
        for value, unit, change in figures
    )
    return f'<div class="summary-bar" aria-hidden="true">{items}</div>'


def comparison_table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table of a name and two values per row; differing rows are marked."""
    return html_table(head, (_compared(*row) for row in rows), "compared")


def _compared(text: str, left: str, right: str) -> Row:
    differs = left != right
    mark = _delta("differs") if differs else ""
    return Row([row_head(text, before=mark), left, right], "changed" if differs else "")


def _delta(word: str) -> str:
    return f'<span class="delta" aria-label="{word}">Δ</span>'


def config_table(head: Sequence[str], rows: Iterable[tuple[str, Sequence[str], bool]]) -> str:
    """Return a table of a field and its values per row. Changed rows are marked; the last value is
    highlighted if it differs from the first."""
    lines = []
    for text, values, changed in rows:
        moved = " moved" if values[-1] != values[0] else ""
        last = Cell(values[-1], f"last{moved}", before=_delta("changed") if changed else "")
        lines.append(Row([row_head(text), *values[:-1], last], "changed" if changed else ""))
    return html_table(head, lines, "config")


def fields_table(head: Sequence[str], rows: Iterable[tuple[str, str, Sequence[str]]]) -> str:
    """Return a table of a name, a unit and numbers per row."""
    lines = ([row_head(text), Cell(unit, "unit"), *numbers(values)] for text, unit, values in rows)
    return html_table([*head[:2], *numbers(head[2:])], lines, "sides")
