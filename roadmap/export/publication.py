"""The weights of a finished run to publish, and the runs with other seeds."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from models.text import unknown_name
from roadmap.export.check import ExportError
from roadmap.recipes import NAMED_RECIPES
from roadmap.runs import PointRun, Run, StepRun, TunedRun, Unreadable, judged_by, read_run
from roadmap.runs.record import WEIGHTS_OF
from roadmap.steps import ROADMAPS
from roadmap.timm_names import PREFIX, step_configs
from roadmap.train.resumption import resume_command

#: A run's weights files by the measure that scores them.
#: Fields that are equal in runs that only differ in the seed.
ALIKE = ("roadmap", "step", "data", "data_sha256", "classes", "recipe", "scale", "precision")


@dataclass(frozen=True, kw_only=True)
class Publication:
    """The weights of ``run`` that ``measure`` (top1 or ema_top1) scores.

    ``runs`` are ``run`` and the finished runs beside it that only differ in the seed, by seed.
    """

    run: StepRun
    measure: str
    runs: tuple[StepRun, ...]

    def score(self, run: Run) -> float:
        """Return the ``measure`` of one of the ``runs``."""
        score = run.scores[self.measure]
        assert score is not None  # checked in _seeds
        return score

    @property
    def weights(self) -> Path:
        return self.run.path / WEIGHTS_OF[self.measure]

    @property
    def architecture(self) -> str:
        """Return timm's name of the network.

        A roadmap that only changes recipes uses the name of the same network in another roadmap.
        """
        known = step_configs()
        name = f"{PREFIX}{self.run.roadmap}_{self.run.step}"
        if name in known:
            return name
        config = ROADMAPS[self.run.roadmap].config(self.run.step)
        return next(other for other in known if known[other] == config)


def publication(folder: Path, weights: Path | None = None) -> Publication:
    """Return the run in ``folder`` with ``weights``, one of its two weights files.

    The default is the file that the step is judged by. Raises ``ExportError`` if the folder has no
    finished run, or ``weights`` are missing (the message has the command to train them again) or
    not from this run.
    """
    run = read_run(folder)
    if isinstance(run, Unreadable):
        raise ExportError(f"{folder} has no readable run. {run.why}")
    if isinstance(run, PointRun):
        raise ExportError(f"the run in {folder} belongs to a design; use the run of a step")
    if isinstance(run, TunedRun):
        raise ExportError(
            f"the run in {folder} fine-tunes trained weights; export its weights with --weights "
            f"{folder / WEIGHTS_OF['top1']} instead of --run"
        )
    if not run.finished:
        raise ExportError(f"the run in {folder} is {run.status}; use a finished run")
    for name in ("test_resize", "interpolation"):
        if name not in run.recipe:
            raise ExportError(f"run.json in {folder} has no recipe.{name}")
    if run.recipe_name is not None and run.recipe_name not in NAMED_RECIPES:
        reason = unknown_name("recipe", run.recipe_name, tuple(NAMED_RECIPES))
        raise ExportError(f"run.json in {folder}: {reason}")
    measure = _measure(run, weights)
    if run.scores.get(measure) is None:
        raise ExportError(
            f"the run in {folder} has no averaged weights: "
            f"add --weights {folder / WEIGHTS_OF['top1']}"
        )
    if not (folder / WEIGHTS_OF[measure]).is_file():
        command = resume_command(run, Path("DIR"), elsewhere=True)
        again = f" with `{command}`" if command else ""
        raise ExportError(
            f"{folder} has no {WEIGHTS_OF[measure]}: copy it there if you have it, or train the "
            f"run again{again} and export DIR"
        )
    return Publication(run=run, measure=measure, runs=_seeds(run, measure))


def _measure(run: StepRun, weights: Path | None) -> str:
    if weights is None:
        return judged_by(ROADMAPS[run.roadmap], run.step)
    for measure, name in WEIGHTS_OF.items():
        if weights.resolve() == (run.path / name).resolve():
            return measure
    raise ExportError(
        f"{weights} is not from the run in {run.path}; use its {' or '.join(WEIGHTS_OF.values())}"
    )


def _seeds(run: StepRun, measure: str) -> tuple[StepRun, ...]:
    """Return one run per seed: ``run`` or the first by name."""
    found = {run.seed: run}
    for other in _beside(run.path):
        alike = all(getattr(other, name) == getattr(run, name) for name in ALIKE)
        if alike and other.finished and other.scores.get(measure) is not None:
            found.setdefault(other.seed, other)
    return tuple(found[seed] for seed in sorted(found))


def _beside(folder: Path) -> Iterator[StepRun]:
    for path in sorted(folder.resolve().parent.iterdir()):
        if (path / "run.json").is_file():
            run = read_run(path)
            if isinstance(run, StepRun):
                yield run
