"""``python -m roadmap steps``."""

from __future__ import annotations

from roadmap.console import (
    Column,
    Format,
    FormatOption,
    RoadmapOption,
    emit,
    find_roadmap,
    number_column,
)
from roadmap.tables.results import step_rows


def steps(roadmap: RoadmapOption = "resnet50", form: FormatOption = Format.table) -> None:
    """List the steps with the paper's figures and our counts."""
    found = find_roadmap(roadmap)
    columns = [
        Column("key", "step"),
        Column("group", "group"),
        number_column("top1", "top-1 %"),
        number_column("top1_std", "±"),
        number_column("paper_gflops", "GFLOPs, paper"),
        number_column("gflops", "counted", 2),
        number_column("params_m", "params M", 1),
        Column("adopted", "", lambda adopted: "" if adopted else "not adopted"),
    ]
    emit(step_rows(roadmap), columns, form, found.title)
