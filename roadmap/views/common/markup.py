"""HTML fragments for ``st.html``; all text is escaped here."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape

from roadmap.drawing.diagrams import Diagram, StageRow, side_by_side


def notice(text: str) -> str:
    return f'<p class="notice" role="status">{escape(text)}</p>'


def own_machine(sentence: str, *commands: str) -> str:
    """Return a box with commands to run on the reader's own machine."""
    lines = escape("\n".join(commands))
    return (
        '<div class="own" role="note"><p class="own-place"><i aria-hidden="true"></i>On your own '
        f'machine</p><p>{escape(sentence)}</p><pre class="command">{lines}</pre></div>'
    )


def paragraph(text: str, kind: str) -> str:
    return f'<p class="{kind}">{escape(text)}</p>'


def heading(text: str, level: int, kind: str) -> str:
    return f'<h{level} class="{kind}">{escape(text)}</h{level}>'


def figures_table(caption: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table of name, unit, value and change; ``caption`` heads the last two columns."""
    head = "".join(f'<th class="n" scope="col">{escape(text)}</th>' for text in caption)
    body = "".join(
        f'<tr><th scope="row">{escape(name)} <span class="unit">{escape(unit)}</span></th>'
        f'<td class="n now">{escape(value)}</td><td class="n">{escape(change)}</td></tr>'
        for name, unit, value, change in rows
    )
    return (
        f'<table><thead><tr><th scope="col"></th>{head}</tr></thead><tbody>{body}</tbody></table>'
    )


def recipe_table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    columns = "".join(f'<th scope="col">{escape(text)}</th>' for text in head)
    body = "".join(
        "<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in rows
    )
    return f'<table class="recipe"><thead><tr>{columns}</tr></thead><tbody>{body}</tbody></table>'


def drawing(diagram: Diagram, captions: Sequence[str], key: Iterable[tuple[str, str]]) -> str:
    """Return a diagram under its title, with ``key`` (signs and meanings) in the margin."""
    items = "".join(f"<li><b>{escape(sign)}</b>{escape(text)}</li>" for sign, text in key)
    margin = f'<ul class="key">{items}</ul>' if items else ""
    return (
        heading(diagram.title, 3, "subsection")
        + f'<div class="drawing">{side_by_side(diagram.panels, captions)}{margin}</div>'
    )


def stages_table(before: Sequence[StageRow] | None, after: Sequence[StageRow]) -> str:
    """Return the paper's Table 9 for a step and the one before it, if any; a Δ marks changes."""
    old = {row.name: row for row in before or ()}
    new = {row.name: row for row in after}
    names = list(dict.fromkeys([*old, *new]))
    names.sort(key=_order)
    columns = ["Part", "Output", *(["Before"] if before else []), "This step"]
    head = "".join(f'<th scope="col">{text}</th>' for text in columns)
    body = "".join(_stage_line(name, old, new, before is not None) for name in names)
    return f'<table class="stages"><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>'


def _order(name: str) -> tuple[float, str]:
    """Return the row for a stem, a stage, a downsampling layer or the head."""
    if name == "Stem":
        return (0.0, name)
    if name == "Head":
        return (99.0, name)
    kind, number = name.split()
    return (int(number) + (0.5 if kind == "Downsampling" else 0.0), name)


def _stage_line(
    name: str, old: dict[str, StageRow], new: dict[str, StageRow], compared: bool
) -> str:
    here, there = new.get(name), old.get(name)
    changed = compared and here != there
    size = (here or there).size  # type: ignore[union-attr]  # one of them has the name
    cells = f'<th scope="row">{escape(name)}</th><td>{escape(size)}</td>'
    if compared:
        cells += f"<td>{_layers(there)}</td>"
    delta = '<span class="delta" aria-label="changed">Δ</span>' if changed else ""
    cells += f'<td><span class="now">{delta}{_layers(here)}</span></td>'
    return f'<tr class="{"changed" if changed else ""}">{cells}</tr>'


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


def summary_bar(rows: Iterable[Sequence[str]]) -> str:
    """Repeat the main figures in a bar that stays visible while scrolling on narrow screens."""
    items = "".join(
        f"<span><b>{escape(value)}</b> {escape(unit)} {escape(change)}</span>"
        for _, unit, value, change in rows
    )
    return f'<div class="summary-bar" aria-hidden="true">{items}</div>'


def comparison_table(head: Sequence[str], rows: Iterable[tuple[str, str, str]]) -> str:
    """Return a table of a name and two values per row; differing rows are marked."""
    columns = "".join(f'<th scope="col">{escape(text)}</th>' for text in head)
    body = "".join(_compared(*row) for row in rows)
    return f'<table class="compared"><thead><tr>{columns}</tr></thead><tbody>{body}</tbody></table>'


def _compared(name: str, left: str, right: str) -> str:
    differs = left != right
    mark = '<span class="delta" aria-label="differs">Δ</span>' if differs else ""
    kind = ' class="changed"' if differs else ""
    return (
        f'<tr{kind}><th scope="row">{mark}{escape(name)}</th>'
        f"<td>{escape(left)}</td><td>{escape(right)}</td></tr>"
    )


def config_table(head: Sequence[str], rows: Iterable[tuple[str, Sequence[str], bool]]) -> str:
    """Return a table of a field and its values per row. Changed rows are marked; the last value is
    highlighted if it differs from the first."""
    columns = "".join(f'<th scope="col">{escape(text)}</th>' for text in head)
    body = ""
    for name, values, changed in rows:
        cells = "".join(f"<td>{escape(value)}</td>" for value in values[:-1])
        mark = '<span class="delta" aria-label="changed">Δ</span>' if changed else ""
        moved = " moved" if values[-1] != values[0] else ""
        cells += f'<td class="last{moved}">{mark}{escape(values[-1])}</td>'
        kind = ' class="changed"' if changed else ""
        body += f'<tr{kind}><th scope="row">{escape(name)}</th>{cells}</tr>'
    return f'<table class="config"><thead><tr>{columns}</tr></thead><tbody>{body}</tbody></table>'


def fields_table(head: Sequence[str], rows: Iterable[tuple[str, str, Sequence[str]]]) -> str:
    """Return a table of a name, a unit and numbers per row."""
    left = "".join(f'<th scope="col">{escape(text)}</th>' for text in head[:2])
    right = "".join(f'<th class="n" scope="col">{escape(text)}</th>' for text in head[2:])
    body = "".join(
        f'<tr><th scope="row">{escape(name)}</th><td class="unit">{escape(unit)}</td>'
        + "".join(f'<td class="n">{escape(value)}</td>' for value in values)
        + "</tr>"
        for name, unit, values in rows
    )
    return (
        f'<table class="sides"><thead><tr>{left}{right}</tr></thead><tbody>{body}</tbody></table>'
    )
