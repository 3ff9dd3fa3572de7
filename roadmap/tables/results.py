"""Locate the results folders; read and write the tables in them. Imports no torch.

In a checkout, all results are in its ``results/``. An installed package includes a read-only copy;
new runs and measurements are written to ``results/`` in the working directory.
"""

from __future__ import annotations

import csv
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from models.text import unknown_name
from models.variants import VARIANTS
from roadmap.files import write_csv
from roadmap.steps import ROADMAPS

if TYPE_CHECKING:
    from pandas import DataFrame

_PACKAGED = Path(__file__).resolve().parents[1] / "_packaged"  # filled by setup.py in a wheel
INSTALLED = _PACKAGED.is_dir()
#: The folder of ``app.py`` and the committed results.
ROOT = _PACKAGED if INSTALLED else _PACKAGED.parents[1]
RESULTS = ROOT / "results"
#: Folder in which the explorer starts ``python -m roadmap``; None: any, if it is installed.
START = None if INSTALLED else ROOT


@dataclass(frozen=True)
class TimedOn:
    """The conditions of a measurement in ``throughput_table``; compare speeds only if they match.

    ``image_size`` is the side of the square image, in pixels.
    """

    device: str
    device_name: str
    mode: str
    dtype: str
    batch_size: int
    compiled: bool
    channels_last: bool
    image_size: int

    @property
    def label(self) -> str:
        words = [self.device_name, self.mode, self.dtype, f"batch {self.batch_size}"]
        words.append("compiled" if self.compiled else "eager")
        return ", ".join(words)


#: The columns of ``TimedOn``.
TIMED_BY = tuple(field.name for field in fields(TimedOn))


class ResultsError(ValueError):
    """A missing or invalid table or run; the message names it."""


def own_results() -> Path:
    """Return the folder that runs and tables are written to and first read from."""
    return Path.cwd() / "results" if INSTALLED else RESULTS


def results_folders() -> tuple[Path, ...]:
    """Return the folders to read: ``own_results()``, then the committed results."""
    return tuple(dict.fromkeys((own_results(), RESULTS)))


def find_committed(path: Path) -> Path:
    """Return ``path`` or, if it does not exist, the committed file of that name.

    With this, ``results/designs/digits.json`` also works on a command line in another folder.
    """
    committed = ROOT / path
    is_result = path.parts[:1] == (RESULTS.name,) and ".." not in path.parts
    return committed if is_result and not path.exists() and committed.is_file() else path


def read_rows(name: str) -> list[dict[str, str]]:
    """Read table ``name``, such as ``paper/paper_roadmap``, as rows of text, without pandas.

    Raises ``ResultsError`` if the table is missing.
    """
    with _existing(name).open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def read_table(name: str) -> DataFrame:
    """Read table ``name``, such as ``measured/throughput``, as a DataFrame.

    Raises ``ResultsError`` if the table is missing.
    """
    import pandas as pd

    return pd.read_csv(_existing(name))


def write_rows(name: str, rows: Iterable[Mapping[str, Any]]) -> Path:
    """Write table ``name`` atomically. Raises ``OSError``."""
    rows = list(rows)
    path = own_results() / f"{name}.csv"
    write_csv(path, list(rows[0]), rows)
    return path


def merge_rows(name: str, key: tuple[str, ...], rows: Iterable[Mapping[str, Any]]) -> Path:
    """Add ``rows`` to table ``name``, replacing rows with equal ``key`` columns in place.

    Creates a missing table. Raises ``OSError``.
    """

    def place(row: Mapping[str, Any]) -> tuple[str, ...]:
        return tuple(str(row[column]) for column in key)

    old = read_rows(name) if _find(name) else []
    merged: dict[tuple[str, ...], Mapping[str, Any]] = {place(row): row for row in old}
    return write_rows(name, (merged | {place(row): row for row in rows}).values())


def paper_figures(roadmap: str) -> dict[str, dict[str, str]]:
    """Return the paper's rows (Tables 10 and 11) for an architecture roadmap.

    The keys are step keys and ``swin``. Raises ``ResultsError`` if the table is missing.
    """
    return {
        row["key"]: row for row in read_rows("paper/paper_roadmap") if row["roadmap"] == roadmap
    }


def roadmap_table(roadmap: str) -> DataFrame:
    """Return one row per step, in order, with the paper's figures and our counts.

    Columns: ``key``, ``title``, ``group``, ``adopted``, ``previous`` (the key of the step to
    compare with),
    ``top1`` and ``top1_std`` (percent), ``paper_gflops``, ``gflops``, ``params`` and
    ``activations`` (millions), ``receptive_field`` (pixels). Raises ``ResultsError`` for an
    unknown roadmap.
    """
    import pandas as pd

    if roadmap not in ROADMAPS:
        raise ResultsError(unknown_name("roadmap", roadmap, tuple(ROADMAPS)))
    table = pd.DataFrame(_rows(roadmap)).drop(columns="roadmap")
    figures = ["top1", "top1_std", "paper_gflops"]
    table = table.astype(dict.fromkeys(figures, float)).rename(columns={"params_m": "params"})
    return table.set_index("key", drop=False).rename_axis(None)


def step_rows(roadmap: str) -> list[dict[str, Any]]:
    """Return the main columns of ``roadmap_table`` as rows, without pandas.

    Absent values are None; ``params_m`` is in millions. Raises ``ResultsError`` if a table is
    missing.
    """
    left_out = ("previous", "activations", "receptive_field")
    return [
        {name: value for name, value in row.items() if name not in left_out}
        for row in _rows(roadmap)
    ]


def _rows(roadmap: str) -> list[dict[str, Any]]:
    found = ROADMAPS[roadmap]
    figures = _published(roadmap)
    counted = complexity_rows(roadmap)
    rows = []
    for step in found.steps:
        published, count = figures.get(step.key, {}), counted[step.key]
        previous = found.previous(step.key)
        row = {
            "roadmap": roadmap,
            "key": step.key,
            "title": step.title,
            "group": step.group,
            "adopted": step.adopted,
            "previous": previous.key if previous else None,
            "top1": number_in(published.get("top1")),
            "top1_std": number_in(published.get("top1_std")),
            "paper_gflops": number_in(published.get("gflops")),
            "gflops": int(count["macs"]) / 1e9,
            "params_m": int(count["params"]) / 1e6,
            "activations": int(count["activations"]) / 1e6,
            "receptive_field": int(count["receptive_field"]),
        }
        rows.append(row)
    return rows


def _published(roadmap: str) -> dict[str, dict[str, str]]:
    if not ROADMAPS[roadmap].changes_networks:
        return {row["key"]: row for row in read_rows(f"paper/{roadmap}_steps")}
    return paper_figures(roadmap)


def complexity_rows(roadmap: str) -> dict[str, dict[str, str]]:
    """Return the complexity row of each step, by key; all are equal if only recipes change.

    Raises ``ResultsError`` if the table or the row of a step is missing.
    """
    rows = {(row["source"], row["name"]): row for row in read_rows("measured/complexity")}
    if not ROADMAPS[roadmap].changes_networks:
        return dict.fromkeys(ROADMAPS[roadmap].keys, rows["variant", _only_network(roadmap)])
    _check_counted(roadmap, {name for source, name in rows if source == roadmap})
    return {key: rows[roadmap, key] for key in ROADMAPS[roadmap].keys}


def _only_network(roadmap: str) -> str:
    """Return the variant that all steps of a roadmap of recipes share."""
    start = ROADMAPS[roadmap].start
    return next(name for name, config in VARIANTS.items() if config == start)


def _check_counted(roadmap: str, known: Collection[str]) -> None:
    for key in ROADMAPS[roadmap].keys:
        if key not in known:
            raise ResultsError(
                f"results/measured/complexity.csv has no row for step {key} of {roadmap}; add it "
                f"with `python -m roadmap profile --roadmap {roadmap} --step {key} --save`"
            )


def number_in(text: str | None) -> float | None:
    """Return the number in a cell, or None if the cell is empty."""
    return float(text) if text else None


def report_rows(roadmap: str) -> list[dict[str, str]]:
    """Return the rows of ``roadmap`` in all tables of ``results/reports/``, without pandas.

    The tables are those of ``python -m roadmap report --format csv``; a user's own come first.
    """
    paths = [path for folder in results_folders() for path in sorted(folder.glob("reports/*.csv"))]
    rows: dict[tuple[str, str], dict[str, str]] = {}
    for path in reversed(paths):
        with path.open(newline="", encoding="utf-8") as file:
            for row in csv.DictReader(file):
                if row.get("roadmap") == roadmap:
                    rows[row["data"], row["key"]] = row
    return list(rows.values())


def throughput_table() -> DataFrame:
    """Return all measured speeds; ``results/measured/README.md`` describes the columns."""
    return read_table("measured/throughput")


def ours_first(timed: DataFrame) -> DataFrame:
    """Return one row of ``throughput_table`` per network and ``TimedOn``.

    Prefers rows timed with our depthwise kernels to rows with PyTorch's.
    """
    ours_last = timed.loc[(timed["depthwise"] == "own").sort_values(kind="stable").index]
    return ours_last.drop_duplicates(["source", "name", *TIMED_BY], keep="last").sort_index()


def _find(name: str) -> Path | None:
    paths = [folder / f"{name}.csv" for folder in results_folders()]
    return next((path for path in paths if path.is_file()), None)


def _existing(name: str) -> Path:
    path = _find(name)
    if path is None:
        raise ResultsError(
            f"the table results/{name}.csv is missing; restore it or measure it again"
        )
    return path


def timed_network(roadmap: str, step: str | None = None) -> tuple[str, str | None]:
    """Return the roadmap and step under which the speed of the network of ``step`` is measured.

    These are its own, unless the roadmap only changes recipes: then the first step of another
    roadmap that has the same network.
    """
    found = ROADMAPS[roadmap]
    if found.changes_networks:
        return roadmap, step
    others = (other for other in ROADMAPS.values() if other.changes_networks)
    return next(
        (other.name, key)
        for other in others
        for key in other.keys
        if other.config(key) == found.start
    )
