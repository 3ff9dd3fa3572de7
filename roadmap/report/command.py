"""``python -m roadmap report``. Imports SciPy once runs are found, Plotly only for a page."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from roadmap.console import (
    DATA_NAME,
    Column,
    Format,
    FormatOption,
    RoadmapOption,
    RunsOption,
    emit,
    fail,
    find_roadmap,
    note,
)
from roadmap.files import write_bytes
from roadmap.runs import Runs, read_runs
from roadmap.runs.folders import runs_folder
from roadmap.tables.results import ResultsError
from roadmap.text import data_title

if TYPE_CHECKING:
    from roadmap.analysis.ablation import Ablation


def report(
    data: Annotated[str, DATA_NAME],
    roadmap: RoadmapOption = "resnet50",
    runs: RunsOption = None,
    form: FormatOption = Format.table,
    output: Annotated[
        Path | None,
        typer.Option("--output", help="Also write the report to this HTML file.", metavar="FILE"),
    ] = None,
) -> None:
    """Report how much each trained step changed top-1, with tests."""
    find_roadmap(roadmap)
    root = runs or runs_folder()
    found = read_runs(runs)
    for folder in found.unreadable:
        note(f"Skipping {folder.path}: {folder.why}")
    if not found.runs:
        try:
            one_set = any(root.glob("*/run.json"))
        except OSError:
            one_set = False
        hint = f" It is the folder of one data set; use its parent, --runs {root.parent}."
        fail(f"{root} has no readable runs.{hint if one_set else ''}")
    from roadmap.analysis.ablation import analyse

    try:
        ablation = analyse(found.runs, data, roadmap)
        if output is not None:
            _write_page(output, ablation, found)
    except ResultsError as error:
        fail(str(error))
    _print(ablation, found, form)


def _write_page(path: Path, ablation: Ablation, found: Runs) -> None:
    from roadmap.report.page import page

    try:
        write_bytes(path, page(ablation, found).encode())
    except OSError as error:
        fail(f"{path} cannot be written: {error.strerror}")


def _print(ablation: Ablation, found: Runs, form: Format) -> None:
    from roadmap.analysis.table import rows
    from roadmap.report import text
    from roadmap.report.figures_table import FORMATS, verdict_text

    printed = rows(ablation)
    if form is not Format.table:
        emit(printed, (), form)
        return
    columns = [name for name in FORMATS if name != "Published %"]
    emit(
        [
            {"step": row["key"], "Verdict": verdict_text(row)}
            | {name: FORMATS[name](row) for name in columns}
            for row in printed
        ],
        [
            Column("step", "Step"),
            Column("Verdict", "Verdict"),
            *(Column(name, name, right=True) for name in columns),
        ],
        form,
        f"{ablation.roadmap.title}, trained on {data_title(ablation.data)}",
        [
            text.finding(ablation),
            *text.tests(ablation),
            text.agreement(ablation),
            text.timing(ablation),
            *text.notes(ablation, found),
        ],
    )
