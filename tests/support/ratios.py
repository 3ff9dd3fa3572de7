"""The tables of results/measured/README.md with ratios by batch size."""

from __future__ import annotations

FIRST = "| images per batch"


def ratios_in(text: str) -> dict[tuple[str, str], str]:
    """Return the cells of the table in ``text`` that are not empty, by setting and batch size."""
    head, _, *rows = map(_cells, text[text.index(FIRST) :].split("\n\n")[0].splitlines())
    return {
        (setting, size): cell
        for setting, *cells in rows
        for size, cell in zip(head[1:], cells, strict=True)
        if cell
    }


def _cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.strip("|").split("|")]
