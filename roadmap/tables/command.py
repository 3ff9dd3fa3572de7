"""``python -m roadmap steps``."""

from __future__ import annotations

from roadmap.console import Column, Format, FormatOption, RoadmapOption, emit, find_roadmap, number
from roadmap.tables.results import step_rows


def steps(roadmap: RoadmapOption = "resnet50", form: FormatOption = Format.table) -> None:
    """List the steps with the paper's figures and our counts."""
    found = find_roadmap(roadmap)
    columns = [
        Column("key", "step"),
        Column("group", "group"),
        number("top1", "top-1 %"),
        number("top1_std", "±"),
        number("paper_gflops", "GFLOPs, paper"),
        number("gflops", "counted", 2),
        number("params_m", "params M", 1),
        Column("adopted", "", lambda adopted: "" if adopted else "not adopted"),
    ]
    emit(step_rows(roadmap), columns, form, found.title)
