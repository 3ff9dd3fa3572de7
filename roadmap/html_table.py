"""HTML tables for pages and reports, with all text escaped."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from html import escape

#: CSS class of numbers.
NUMBER = "n"


@dataclass(frozen=True)
class Cell:
    """A table cell: escaped ``text`` between the HTML ``before`` and ``after``.

    ``kind`` is its CSS class; ``heads`` makes it a row header.
    """

    text: str = ""
    kind: str = ""
    heads: bool = False
    before: str = ""
    after: str = ""
    attributes: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Row:
    """A table row of cells, or strings for plain cells; ``kind`` is its CSS class."""

    cells: Sequence[Cell | str]
    kind: str = ""


def html_table(
    head: Sequence[Cell | str],
    rows: Iterable[Row | Sequence[Cell | str]],
    kind: str = "",
    caption: str = "",
) -> str:
    """Return an HTML table with CSS class ``kind``; an empty ``head`` is omitted."""
    lines = "".join(_row(row if isinstance(row, Row) else Row(row)) for row in rows)
    names = "".join(_tag("th", cell, {"scope": "col"}) for cell in map(_cell, head))
    titled = f"<caption>{escape(caption)}</caption>" if caption else ""
    top = f"<thead><tr>{names}</tr></thead>" if head else ""
    return f"<table{_attributes({'class': kind})}>{titled}{top}<tbody>{lines}</tbody></table>"


def row_head(text: str, before: str = "", after: str = "") -> Cell:
    """Return a row header."""
    return Cell(text, heads=True, before=before, after=after)


def numbers(texts: Iterable[str]) -> list[Cell]:
    """Return cells, or column headers, for numbers."""
    return [Cell(text, NUMBER) for text in texts]


def wide(table: str, label: str) -> str:
    """Return ``table`` in a region named ``label`` that scrolls if it is wider than the page."""
    region = f'tabindex="0" role="region" aria-label="{escape(label)}"'
    return f'<div class="wide" {region}>{table}</div>'


def _row(row: Row) -> str:
    cells = "".join(
        _tag("th", cell, {"scope": "row"}) if cell.heads else _tag("td", cell, {})
        for cell in map(_cell, row.cells)
    )
    return f"<tr{_attributes({'class': row.kind})}>{cells}</tr>"


def _cell(cell: Cell | str) -> Cell:
    return Cell(cell) if isinstance(cell, str) else cell


def _tag(tag: str, cell: Cell, attributes: Mapping[str, str]) -> str:
    given = _attributes({"class": cell.kind} | dict(attributes) | dict(cell.attributes))
    return f"<{tag}{given}>{cell.before}{escape(cell.text)}{cell.after}</{tag}>"


def _attributes(given: Mapping[str, str]) -> str:
    return "".join(f' {key}="{escape(value)}"' for key, value in given.items() if value)
