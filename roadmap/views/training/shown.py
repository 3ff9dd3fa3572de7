"""What the page shows of the runs: the background task and its runs, the curves behind a run."""

from __future__ import annotations

from collections.abc import Container, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from roadmap.analysis.narrowing import Narrowing, narrowing
from roadmap.charts.live import Curve, Role
from roadmap.runs import PointRun, Run, Runs, StepRun, curves, judged_by
from roadmap.runs.live import Live, read_live
from roadmap.runs.lock import LOCK
from roadmap.runs.metrics import METRICS
from roadmap.runs.record import RECORD
from roadmap.steps import ROADMAPS
from roadmap.sweep import background
from roadmap.sweep.background import Task
from roadmap.tables.results import ResultsError
from roadmap.views.common import all_runs

#: Most cards, stopped runs of other tasks among them, and earlier runs of a step in a chart.
MOST_CARDS, MOST_HALTED, MOST_EARLIER = 6, 3, 10
#: Fewer points per epoch are of a part of it each, and jump.
FEWEST_PER_EPOCH = 3
INTERRUPTED = ("interrupted", "stopped", "failed")


@dataclass(frozen=True)
class Cards:
    """The last ``task`` with its runs so far, whether it is ``running``, and the runs with a card.

    ``more`` running runs have none. ``active`` says whether anything trains.
    """

    task: Task | None
    running: bool
    mine: tuple[Run, ...]
    cards: tuple[Run, ...]
    more: int
    active: bool


def shown(found: Runs) -> Cards:
    """Choose the cards: what is training, then what stopped, the last task's first, and what
    finished last. Runs that were trained elsewhere, such as committed ones, have no cards."""
    root = all_runs.root()
    task, running = background.read_task(root), background.is_running(root)
    names = task.runs if task else ()
    folder = root / task.data if task else root
    by_path = {run.path: run for run in found.every}
    mine = tuple(by_path[folder / name] for name in names if folder / name in by_path)
    training = [run for run in found.every if run.status == "running"]
    training.sort(key=lambda run: run not in mine)
    ended = [
        run for run in found.every if run.status != "running" and _was_here(run, folder, names)
    ]
    ended.sort(key=_ended, reverse=True)
    halted = [run for run in mine if run.status in INTERRUPTED]
    others = [run for run in ended if run.status in INTERRUPTED and run not in halted]
    done = [run for run in ended if run.finished][:1]
    cards = (*training[:MOST_CARDS], *halted, *others[:MOST_HALTED], *done)[:MOST_CARDS]
    more = len(training) - len(training[:MOST_CARDS])
    return Cards(task, running, mine, cards, more, running or bool(training))


def _was_here(run: Run, folder: Path, names: Container[str]) -> bool:
    """Whether ``run`` is one of the task's ``names`` in ``folder``, or a process that trained it
    here left a lock."""
    mine = run.path.parent == folder and run.path.name in names
    return mine or (run.path / LOCK).exists()


def _ended(run: Run) -> float:
    """Return the time of the last epoch, or of the last entry in the record if it is later."""
    times = [0.0]
    for name in (METRICS, RECORD):
        with suppress(OSError):
            times.append((run.path / name).stat().st_mtime)
    return max(times)


def step_of(run: Run) -> str | None:
    """Return the key of the step that ``run`` trains, None if it has none.

    The points that confirm the study are named after their steps.
    """
    if isinstance(run, StepRun):
        return run.step
    if isinstance(run, PointRun) and run.point.design == background.study_design().name:
        key = run.point.key.partition("-")[0]
        return key if key in study_steps() else None
    return None


def study_steps() -> set[str]:
    """Return the keys of the steps in ``background.study_design``."""
    return {point.key.partition("-")[0] for point in background.study_design().points}


def compared(found: Runs, run: Run) -> tuple[list[Run], list[Run]]:
    """Return the finished runs to compare ``run`` with: other seeds of its step, and the step
    before it, on the same data with the same settings."""
    step = step_of(run)
    if step is None:
        return [], []
    before = ROADMAPS[run.roadmap].previous(step)
    alike = [other for other in comparable(run, found) if other.path != run.path]
    same = [other for other in alike if step_of(other) == step]
    earlier = [other for other in same if other.recipe == run.recipe]
    previous = [other for other in alike if before and step_of(other) == before.key]
    return earlier[:MOST_EARLIER], previous[:MOST_EARLIER]


def study_scores(found: Runs, run: Run) -> tuple[tuple[str, int, float], ...]:
    """Return step, seed and top-1 of the finished runs of the study's steps beside ``run``."""
    steps = ((step_of(other), other) for other in comparable(run, found))
    return tuple((step, other.seed, other.top1) for step, other in steps if step)


@lru_cache(maxsize=32)
def study_narrowing(
    scores: tuple[tuple[str, int, float], ...], images: int, roadmap: str, step: str
) -> tuple[Narrowing, ...]:
    """Return how the verdict on ``step`` narrows with seeds, by ``study_scores``."""
    by_step: dict[str, dict[int, float]] = {}
    for key, seed, top1 in scores:
        by_step.setdefault(key, {})[seed] = top1
    return narrowing(by_step, images, roadmap, step)


def comparable(run: Run, found: Runs) -> list[Run]:
    """Return the finished runs that can be compared with ``run``, itself included."""
    every: Sequence[Run] = found.points if isinstance(run, PointRun) else found.runs
    return [other for other in every if other.finished and _alike(run, other)]


def _alike(run: Run, other: Run) -> bool:
    names = ("roadmap", "data", "data_sha256", "val_images", "scale", "precision")
    lengths = ("epochs", "train_size", "test_size")
    return (
        all(getattr(run, name) == getattr(other, name) for name in names)
        and all(run.recipe[name] == other.recipe[name] for name in lengths)
        and run.path.parent.name == other.path.parent.name
        and (run.point and run.point.design) == (other.point and other.point.design)
    )


def top1_curve(run: Run, role: Role) -> Curve:
    """Return top-1 by epoch, of the averaged weights if the step is judged by them."""
    step = step_of(run)
    column = judged_by(ROADMAPS[run.roadmap], step) if isinstance(run, StepRun) and step else "top1"
    epochs, values = _column(run, column)
    if not values:
        epochs, values = _column(run, "top1")
    return Curve(role, epochs, values)


def loss_curve(run: Run, live: Live | None) -> Curve:
    """Return the training loss: within epochs if they are long, else one value per epoch."""
    if live is not None and several_per_epoch(live):
        epochs = [step / live.steps_per_epoch for step, _ in live.points]
        return Curve("now", epochs, [loss for _, loss in live.points])
    return epoch_losses(run, "now")


def epoch_losses(run: Run, role: Role) -> Curve:
    """Return the mean training loss of each epoch, at the middle of the epoch."""
    ends, values = _column(run, "train_loss")
    return Curve(role, [end - 0.5 for end in ends], values)


def several_per_epoch(live: Live) -> bool:
    """Return whether there are enough figures per epoch; a single one is of its first steps."""
    if len(live.points) < 2:
        return False
    first, last = live.points[0][0], live.points[-1][0]
    return (last - first) / (len(live.points) - 1) <= live.steps_per_epoch / FEWEST_PER_EPOCH


def _column(run: Run, name: str) -> tuple[Sequence[float], Sequence[float]]:
    with suppress(ResultsError):
        columns = curves(run)
        pairs = [
            (epoch, value)
            for epoch, value in zip(columns["epoch"], columns[name], strict=True)
            if epoch is not None and value is not None
        ]
        return [epoch for epoch, _ in pairs], [value for _, value in pairs]
    return [], []


def live_of(run: Run) -> Live | None:
    """Return the figures that ``run`` publishes, None for a finished run."""
    return None if run.finished else read_live(Path(run.path))
