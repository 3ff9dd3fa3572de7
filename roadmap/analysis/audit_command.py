"""``python -m roadmap audit``."""

from __future__ import annotations

from typing import Annotated

import typer

from roadmap.analysis.audit import SWIN, audit
from roadmap.console import Column, Format, FormatOption, emit, fail, find_roadmap, number_column


def audit_command(
    roadmap: Annotated[
        str | None,
        typer.Option(
            "--roadmap", help=f"One of {', '.join(SWIN)} [default: both].", metavar="NAME"
        ),
    ] = None,
    form: FormatOption = Format.table,
) -> None:
    """Compare the paper's GFLOPs (Tables 10 and 11) with our counts."""
    if roadmap is not None and roadmap not in SWIN:
        find_roadmap(roadmap)
        fail(f"{roadmap} only changes recipes, not GFLOPs; use {' or '.join(SWIN)}.")
    rows = [
        {**vars(row), "agrees": row.agrees}
        for name in ([roadmap] if roadmap else SWIN)
        for row in audit(name)
    ]
    columns = [
        Column("table", "table", right=True),
        Column("label", "row"),
        number_column("paper_gflops", "paper"),
        number_column("gflops", "counted", 4),
        Column("agrees", "", lambda agrees: "equal" if agrees else "differs"),
    ]
    notes = [f"Table {row['table']}, {row['label']}: {row['note']}" for row in rows if row["note"]]
    emit(rows, columns, form, "GFLOPs (multiply-adds) of convolutions and linear layers", notes)
