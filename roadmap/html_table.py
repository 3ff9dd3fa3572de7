"""HTML tables of pages and reports: one way to write them, with every text escaped."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from html import escape

#: How a column of numbers is marked.
NUMBER = "n"


@dataclass(frozen=True)
class Cell:
    """``text`` between pieces of HTML; ``kind`` is its class, ``heads`` makes it a row's head."""

    text: str = ""
    kind: str = ""
    heads: bool = False
    before: str = ""
    after: str = ""
    attributes: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Row:
    """``cells``, of which texts stand for plain cells; ``kind`` is the row's class."""

    cells: Sequence[Cell | str]
    kind: str = ""


def html_table(
    head: Sequence[Cell | str],
    rows: Iterable[Row | Sequence[Cell | str]],
    kind: str = "",
    caption: str = "",
) -> str:
    """A table of class ``kind``. An empty ``head`` is left out."""
    lines = "".join(_row(row if isinstance(row, Row) else Row(row)) for row in rows)
    names = "".join(_tag("th", cell, {"scope": "col"}) for cell in map(_cell, head))
    titled = f"<caption>{escape(caption)}</caption>" if caption else ""
    top = f"<thead><tr>{names}</tr></thead>" if head else ""
    return f"<table{_attributes({'class': kind})}>{titled}{top}<tbody>{lines}</tbody></table>"


def row_head(text: str, before: str = "", after: str = "") -> Cell:
    """The head of a row."""
    return Cell(text, heads=True, before=before, after=after)


def numbers(texts: Iterable[str]) -> list[Cell]:
    """Cells or heads of columns of numbers."""
    return [Cell(text, NUMBER) for text in texts]


def wide(table: str, label: str) -> str:
    """``table`` in a region that scrolls where it is wider than the page; ``label`` names it."""
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
