"""An experiment: a design, its runs, the fitted model and its test on held-out runs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from roadmap.runs import PointRun
from roadmap.study.confirmation import Confirmation, confirmations
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
    """A design with its finished ``runs`` and the fitted ``model``.

    ``foreign`` runs name the design but do not match it, or were trained on other data; they are
    excluded. ``judgement`` is None without held-out runs. ``confirmations`` compare the model with
    runs of role ``confirmation``, also those of other designs.
    """

    design: Design
    runs: tuple[PointRun, ...]
    foreign: tuple[PointRun, ...]
    model: Model
    judgement: Judgement | None
    confirmations: tuple[Confirmation, ...] = ()

    @property
    def unlearned(self) -> tuple[PointRun, ...]:
        """The runs, of any role, that did not learn (see ``roadmap.study.model.learned``)."""
        return tuple(run for run in self.runs if not learned(run))

    @property
    def planned(self) -> int:
        """The number of runs that the complete model is fitted to."""
        return sum(point.role in FITTED_ROLES for point in self.design.points)


def open_experiment(
    design: Design, runs: Sequence[PointRun], known: Sequence[Design] = ()
) -> Experiment:
    """Fit the model of ``design`` to its runs among ``runs``.

    The confirmation runs of ``known`` designs test it. Raises ``StudyError`` if too few runs of
    ``design`` have finished.
    """
    model = fit(design, runs)
    own = tuple(run for _, run in finished(design, runs))
    return Experiment(
        design,
        own,
        tuple(foreign(design, runs)),
        model,
        judge(model, runs),
        confirmations(model, known, runs),
    )


def designs() -> list[Design]:
    """Read every valid design in ``designs`` of all ``results_folders()``, sorted by file name."""
    paths = {
        path.name: path
        for folder in reversed(results_folders())
        for path in folder.glob("designs/*.json")
    }
    found = []
    for _, path in sorted(paths.items()):
        try:
            found.append(read_design(path))
        except StudyError:
            continue
    return found


def of_data(runs: Sequence[PointRun], data: str) -> tuple[PointRun, ...]:
    """Return the runs that were trained on the data set named ``data``."""
    return tuple(run for run in runs if run.data == data)


def choose_design(found: Sequence[Design], runs: Sequence[PointRun]) -> Design:
    """Return the design with the most finished runs, if it has points to fit.

    Raises ``StudyError`` if there is none.
    """
    names = [run.point.design for run in runs if run.finished]
    usable = [d for d in found if any(p.role in FITTED_ROLES for p in d.points)]
    usable = [design for design in usable if design.name in names]
    if not usable:
        raise StudyError("no run of a design has finished on this data set")
    return max(usable, key=lambda design: names.count(design.name))
