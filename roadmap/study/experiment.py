"""An experiment as it stands: a design, its runs, the model fitted to them, how it is judged."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from roadmap.runs import PointRun
from roadmap.study.design import Design, read_design
from roadmap.study.model import (
    FITTED_ROLES,
    Judgement,
    Model,
    finished,
    fit,
    foreign,
    judge,
    learned,
)
from roadmap.study.space import StudyError
from roadmap.tables.results import results_folders


@dataclass(frozen=True)
class Experiment:
    """``runs`` are the finished ones of the design; ``foreign`` have its name and are not what it
    says, or are of other data: they are left out."""

    design: Design
    runs: tuple[PointRun, ...]
    foreign: tuple[PointRun, ...]
    model: Model
    judgement: Judgement | None

    @property
    def unlearned(self) -> tuple[PointRun, ...]:
        """Runs that ended no better than guessing, of whatever role."""
        return tuple(run for run in self.runs if not learned(run))

    @property
    def planned(self) -> int:
        """How many runs the model is to be fitted to."""
        return sum(point.role in FITTED_ROLES for point in self.design.points)


def open_experiment(design: Design, runs: Sequence[PointRun]) -> Experiment:
    """The experiment of ``design`` by ``runs``, of which others are left out.

    Raises ``StudyError`` where too few runs are finished.
    """
    model = fit(design, runs)
    own = tuple(run for _, run in finished(design, runs))
    return Experiment(design, own, tuple(foreign(design, runs)), model, judge(model, runs))


def designs(folder: Path | None = None) -> list[Design]:
    """Every design in ``folder`` that can be read, in the order of their names.

    ``folder`` None is ``designs`` in all of ``results_folders()``.
    """
    folders = [folder] if folder else [found / "designs" for found in results_folders()]
    paths = {path.name: path for each in reversed(folders) for path in each.glob("*.json")}
    found = []
    for _, path in sorted(paths.items()):
        try:
            found.append(read_design(path))
        except StudyError:
            continue
    return found


def of_data(runs: Sequence[PointRun], data: str) -> tuple[PointRun, ...]:
    """The runs of designs that were trained on the data set named ``data``."""
    return tuple(run for run in runs if run.data == data)


def choose_design(found: Sequence[Design], runs: Sequence[PointRun]) -> Design:
    """The design that most of ``runs`` are of and that has something to fit.

    Raises ``StudyError`` where there is none.
    """
    names = [run.point.design for run in runs if run.finished]
    usable = [d for d in found if any(p.role in FITTED_ROLES for p in d.points)]
    usable = [design for design in usable if design.name in names]
    if not usable:
        raise StudyError("no run of a design is finished on this data set")
    return max(usable, key=lambda design: names.count(design.name))
