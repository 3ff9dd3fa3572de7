"""The table on the report's page: every step with all its figures."""

from __future__ import annotations

from collections.abc import Callable
from itertools import groupby
from typing import TYPE_CHECKING, Any

from roadmap.analysis.ablation import GAIN, INCONCLUSIVE, LOSS, UNTESTED
from roadmap.html_table import NUMBER, Cell, Row, html_table, numbers, row_head, wide
from roadmap.report import text
from roadmap.text import number

if TYPE_CHECKING:
    from pandas import DataFrame

Figures = dict[str, Any]
#: Heading and format of each number column, before and after the verdict.
BEFORE: tuple[tuple[str, Callable[[Figures], str]], ...] = (
    ("Seeds", lambda row: f"{row['n']:.0f}"),
    ("Top-1 %", lambda row: number(row["top1"], 2)),
    ("±", lambda row: number(row["top1_std"], 2)),
    ("Change", lambda row: text.signed(row["change"], 2)),
    ("95% interval", lambda row: text.interval(row["change_low"], row["change_high"])),
    ("p, Holm", lambda row: text.p_value(row["p_holm"])),
)
AFTER: tuple[tuple[str, Callable[[Figures], str]], ...] = (
    ("Seeds\nfor 80%", lambda row: text.seeds(row["seeds_needed"], row["p"])),
    ("Published\n%", lambda row: number(row["paper_top1"], 2)),
    ("Published\nchange", lambda row: text.signed(row["paper_change"], 2)),
    ("GFLOPs", lambda row: number(row["gflops"], 2)),
    ("Training,\nseconds", lambda row: number(row["seconds"], 0)),
)
VERDICTS = (GAIN, LOSS, INCONCLUSIVE, UNTESTED)


def legend(table: DataFrame) -> list[tuple[str, str]]:
    """Return class and meaning of each sign in ``table``, and of the paper's diamond."""
    given = set(table["verdict"].dropna())
    shown = [(verdict, verdict) for verdict in VERDICTS if verdict in given]
    return [*shown, ("paper", "published change on ImageNet-1K")]


def sign(row: Figures) -> str:
    """Return the sign before a verdict as HTML; empty if there is no verdict (NaN in pandas)."""
    return f'<i class="sign {row["verdict"]}"></i>' if isinstance(row["verdict"], str) else ""


def figures_table(table: DataFrame) -> str:
    """Return ``ablation_table`` as HTML, by group; it scrolls on narrow screens."""
    head: list[Cell | str] = ["Step", *numbers(title for title, _ in BEFORE), "Verdict"]
    head += numbers(title for title, _ in AFTER)
    lines = []
    for group, rows in groupby(table.to_dict("records"), key=lambda row: row["group"]):
        span = {"colspan": str(len(head) - 1)}
        grouped = Cell(group, heads=True, attributes={"scope": "rowgroup"})
        lines += [Row([grouped, Cell(attributes=span)], "group"), *map(_row, rows)]
    return wide(html_table(head, lines), "All figures, scrollable table")


def _row(row: Figures) -> Row:
    number = f'<span class="number">{row["number"]:.0f}</span>'
    verdict = row["verdict"] if isinstance(row["verdict"], str) else ""
    cells = [row_head(row["title"], before=number)]
    cells += [
        Cell(show(row), f"{NUMBER} change" if title == "Change" else NUMBER)
        for title, show in BEFORE
    ]
    cells.append(Cell(verdict, before=sign(row)))
    cells += numbers(show(row) for _, show in AFTER)
    return Row(cells, "" if row["adopted"] else "off")
