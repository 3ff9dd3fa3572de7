"""The table on the report's page: every step with all its figures."""

from __future__ import annotations

from collections.abc import Callable
from html import escape
from itertools import groupby
from typing import TYPE_CHECKING, Any

from roadmap.analysis.ablation import GAIN, INCONCLUSIVE, LOSS, UNTESTED
from roadmap.report import text
from roadmap.text import number

if TYPE_CHECKING:
    from pandas import DataFrame

Row = dict[str, Any]
#: Heading and format of each number column, before and after the verdict.
BEFORE: tuple[tuple[str, Callable[[Row], str]], ...] = (
    ("Seeds", lambda row: f"{row['n']:.0f}"),
    ("Top-1 %", lambda row: number(row["top1"], 2)),
    ("±", lambda row: number(row["top1_std"], 2)),
    ("Change", lambda row: text.signed(row["change"], 2)),
    ("95% interval", lambda row: text.interval(row["change_low"], row["change_high"])),
    ("p, Holm", lambda row: text.p_value(row["p_holm"])),
)
AFTER: tuple[tuple[str, Callable[[Row], str]], ...] = (
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


def sign(row: Row) -> str:
    """Return the sign before a verdict as HTML; empty if there is no verdict (NaN in pandas)."""
    return f'<i class="sign {row["verdict"]}"></i>' if isinstance(row["verdict"], str) else ""


def figures_table(table: DataFrame) -> str:
    """Return ``ablation_table`` as HTML, by group; it scrolls on narrow screens."""
    heads = [*(_head(name) for name, _ in BEFORE), '<th scope="col">Verdict</th>']
    heads += [_head(name) for name, _ in AFTER]
    body = []
    for group, rows in groupby(table.to_dict("records"), key=lambda row: row["group"]):
        span = len(BEFORE) + len(AFTER) + 1
        body.append(
            f'<tr class="group"><th scope="rowgroup">{escape(group)}</th><td colspan="{span}"></td>'
            "</tr>"
        )
        body += [_row(row) for row in rows]
    return (
        '<div class="wide" role="region" tabindex="0" aria-label="All figures, scrollable table">'
        '<table><thead><tr><th scope="col">Step</th>'
        f"{''.join(heads)}</tr></thead><tbody>{''.join(body)}</tbody></table></div>"
    )


def _head(name: str) -> str:
    return f'<th class="n" scope="col">{escape(name)}</th>'


def _row(row: Row) -> str:
    verdict = row["verdict"] if isinstance(row["verdict"], str) else ""
    kind = "" if row["adopted"] else ' class="off"'
    return (
        f'<tr{kind}><th scope="row"><span class="number">{row["number"]:.0f}</span>'
        f"{escape(row['title'])}</th>"
        + "".join(_cell(show(row), name == "Change") for name, show in BEFORE)
        + f"<td>{sign(row)}{escape(verdict)}</td>"
        + "".join(_cell(show(row), False) for _, show in AFTER)
        + "</tr>"
    )


def _cell(value: str, strong: bool) -> str:
    return f'<td class="n{" change" if strong else ""}">{escape(value)}</td>'
