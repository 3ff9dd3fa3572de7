"""Which weights of a finished run are published, and what belongs to them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from roadmap.export.check import ExportError
from roadmap.export.recipe import train_command
from roadmap.recipes import RECIPES
from roadmap.runs import PointRun, Run, StepRun, Unreadable, judged_by, read_run
from roadmap.steps import ROADMAPS, unknown_name
from roadmap.timm_models.names import PREFIX, step_configs

#: A run's weights files, by the column of its scores that they have.
WEIGHTS_OF = {"top1": "weights.safetensors", "ema_top1": "weights_ema.safetensors"}
#: What runs have in common that differ in nothing but the seed.
ALIKE = ("roadmap", "step", "data", "data_sha256", "classes", "recipe", "scale", "precision")


@dataclass(frozen=True, kw_only=True)
class Publication:
    """The weights of ``run`` that score ``measure`` (top1 or ema_top1).

    ``runs`` are all finished runs in the folder around it that differ in nothing but the seed,
    ``run`` among them, by seed.
    """

    run: StepRun
    measure: str
    runs: tuple[StepRun, ...]

    def score(self, run: Run) -> float:
        """``measure`` of one of the ``runs``."""
        score = run.scores[self.measure]
        assert score is not None  # else it is none of them
        return score

    @property
    def weights(self) -> Path:
        return self.run.path / WEIGHTS_OF[self.measure]

    @property
    def architecture(self) -> str:
        """timm's name of the network: that of its step, or where only recipes change, that of
        the step of another roadmap with the same network."""
        known = step_configs()
        name = f"{PREFIX}{self.run.roadmap}_{self.run.step}"
        if name in known:
            return name
        config = ROADMAPS[self.run.roadmap].config(self.run.step)
        return next(other for other in known if known[other] == config)


def publication(folder: Path, weights: Path | None = None) -> Publication:
    """The run in ``folder`` with its ``weights``, one of its two files.

    Without ``weights``: those that its step is judged by. Raises ``ExportError`` for a folder
    without a finished run and for weights that are not there or not its own; for those that are
    not there it says how to train them again.
    """
    run = read_run(folder)
    if isinstance(run, Unreadable):
        raise ExportError(f"{folder} holds no run that can be read. {run.why}")
    if isinstance(run, PointRun):
        raise ExportError(f"the run in {folder} is of a design: only runs of steps are published")
    if not run.finished:
        raise ExportError(f"the run in {folder} is {run.status}: only finished runs have scores")
    for name in ("test_resize", "interpolation"):
        if name not in run.recipe:
            raise ExportError(f"run.json in {folder} has no recipe.{name}")
    if run.recipe_name is not None and run.recipe_name not in RECIPES:
        reason = unknown_name("recipe", run.recipe_name, tuple(RECIPES))
        raise ExportError(f"run.json in {folder}: {reason}")
    measure = _measure(run, weights)
    if run.scores.get(measure) is None:
        raise ExportError(
            f"the run in {folder} kept no average of its weights: "
            f"add --weights {folder / WEIGHTS_OF['top1']}"
        )
    if not (folder / WEIGHTS_OF[measure]).is_file():
        raise ExportError(
            f"{folder} has no {WEIGHTS_OF[measure]}: train the run again, with "
            f"`{train_command(run)} --output DIR`, and export DIR, or put the file there if you "
            "have it"
        )
    return Publication(run=run, measure=measure, runs=_seeds(run, measure))


def _measure(run: StepRun, weights: Path | None) -> str:
    if weights is None:
        return judged_by(ROADMAPS[run.roadmap], run.step)
    for measure, name in WEIGHTS_OF.items():
        if weights.resolve() == (run.path / name).resolve():
            return measure
    raise ExportError(
        f"{weights} is not of the run in {run.path}: name its {' or '.join(WEIGHTS_OF.values())}"
    )


def _seeds(run: StepRun, measure: str) -> tuple[StepRun, ...]:
    """By seed; of several with one seed ``run`` or else the first by name."""
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
