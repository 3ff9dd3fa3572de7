"""The figures of each step as an HTML table: all of them in the report, some on the page."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from itertools import groupby
from typing import Any

from roadmap.analysis.significance import MOST_SEEDS
from roadmap.analysis.verdict import GAIN, INCONCLUSIVE, LOSS, UNTESTED
from roadmap.html_table import NUMBER, Cell, Row, html_table, numbers, row_head, wide
from roadmap.report import text
from roadmap.text import number

Figures = Mapping[str, Any]
#: Heading and format of each number column.
FORMATS: dict[str, Callable[[Figures], str]] = {
    "Seeds": lambda row: str(row["n"]),
    "Top-1 %": lambda row: number(row["top1"], 2),
    "±": lambda row: number(row["top1_std"], 2),
    "Change": lambda row: text.signed(row["change"], 2),
    "95% interval": lambda row: text.interval(row["change_low"], row["change_high"]),
    "p, Holm": lambda row: text.p_value(row["p_holm"]),
    "Published %": lambda row: number(row["paper_top1"], 2),
    "Published change": lambda row: text.signed(row["paper_change"], 2),
    "GFLOPs": lambda row: number(row["gflops"], 2),
    "Training, seconds": lambda row: number(row["seconds"], 0),
}
#: Columns of the page.
SOME = tuple(name for name in FORMATS if name not in ("±", "GFLOPs", "Training, seconds"))
VERDICTS = (GAIN, LOSS, INCONCLUSIVE, UNTESTED)


def legend(rows: Iterable[Figures]) -> list[tuple[str, str]]:
    """Return class and meaning of each sign in ``rows``, and of the paper's diamond."""
    given = {row["verdict"] for row in rows}
    shown = [(verdict, verdict) for verdict in VERDICTS if verdict in given]
    return [*shown, ("paper", "published change on ImageNet-1K")]


def verdicts_table(rows: Iterable[Figures]) -> str:
    """Return ``roadmap.analysis.table.rows`` as HTML: one row per step, its verdict first."""
    head: list[Cell | str] = ["Step", "Verdict", *numbers(SOME)]
    lines = ([row_head(row["title"]), _verdict(row), *_figures(row, SOME)] for row in rows)
    return wide(html_table(head, lines, "verdicts"), "Verdicts")


def figures_table(rows: Iterable[Figures]) -> str:
    """Return ``roadmap.analysis.table.rows`` as HTML: all figures, by group of steps."""
    head: list[Cell | str] = ["Step", "Verdict", *numbers(FORMATS)]
    span = Cell(attributes={"colspan": str(len(head) - 1)})
    lines = []
    for group, steps in groupby(rows, key=lambda row: str(row["group"])):
        named = Cell(group, heads=True, attributes={"scope": "rowgroup"})
        lines += [Row([named, span], "group"), *map(_numbered, steps)]
    return wide(html_table(head, lines), "All figures, scrollable table")


def _numbered(row: Figures) -> Row:
    place = f'<span class="number">{row["number"]}</span>'
    cells = [row_head(row["title"], before=place), _verdict(row), *_figures(row, FORMATS)]
    return Row(cells, "" if row["adopted"] else "off")


def _figures(row: Figures, columns: Iterable[str]) -> list[Cell]:
    return [
        Cell(FORMATS[name](row), f"{NUMBER} change" if name == "Change" else NUMBER)
        for name in columns
    ]


def _verdict(row: Figures) -> Cell:
    """Return the verdict in words, with its sign before them."""
    sign = f'<i class="sign {row["verdict"]}"></i>' if row["verdict"] else ""
    return Cell(verdict_text(row), "words", before=sign)


def verdict_text(row: Figures) -> str:
    """Return a row's verdict in words."""
    found: str | None = row["verdict"]
    if found is None:
        return "Previous step not trained" if row["previous"] else "Start of the roadmap"
    if found == UNTESTED:
        return "Untested; needs two seeds of both steps"
    if found != INCONCLUSIVE:
        return found.capitalize()
    needed = row["seeds_needed"]
    many = f"more than {MOST_SEEDS}" if needed is None else f"about {needed}"
    return f"Inconclusive; {many} seeds needed"
