"""Checks of a sweep's run folders before it starts. Imports no torch."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from roadmap.errors import RefusedError
from roadmap.runs.lock import is_locked
from roadmap.runs.record import IDENTITY, RecordError, RunRecord, read_record
from roadmap.sweep.plan import PlannedRun
from roadmap.text import counted
from roadmap.train.data.class_names import quoted
from roadmap.train.data.split import Source
from roadmap.train.same_run import Differences, compared, free_folder, listed, run_differences
from roadmap.train.settings import Settings, trained_config

#: Fields of a network that depend on the data.
OF_THE_DATA = {"num_classes", "in_channels"}


def check_folders(
    jobs: Iterable[PlannedRun], source: Source | None = None, device: str | None = None
) -> None:
    """Check run folders before any job starts.

    Raises ``RefusedError`` if folders have runs with other settings, or with data that differs
    from ``source`` in class names or numbers of images. ``device`` is the type of device that the
    sweep trains on, None if unknown. The device and precision of a finished run only matter if a
    job requests them.
    """
    others: dict[str, list[str]] = {}
    roots = set()
    for job in jobs:
        try:
            run = read_record(job.folder)
        except (OSError, RecordError):  # reported or repaired when the run is resumed
            continue
        if run is None:
            continue
        found = _differences(run, job.settings, device)
        if source is not None and not job.settings.accept_changed_data:
            found |= _other_data(run, source)
        if found:
            roots.add(job.folder.parent)
            others.setdefault(listed(found), []).append(f"{job.name} ({_state(run, job.folder)})")
    if others:
        raise RefusedError(_refusal(others, sorted(roots)))


def _refusal(others: Mapping[str, list[str]], roots: list[Path]) -> str:
    runs = counted(sum(map(len, others.values())), "run")
    each = ". ".join(f"{', '.join(names)}: {what}" for what, names in others.items())
    return (
        f"{roots[0]} holds {runs} with other settings; nothing was started. {each}. Use another "
        f"--output, such as {free_folder(roots[0])}, use the same settings, or delete those runs"
    )


def _state(run: RunRecord, folder: Path) -> str:
    if run.status == "finished":
        return "finished"
    return "being trained" if is_locked(folder) else "stopped"


def _differences(run: RunRecord, settings: Settings, device: str | None) -> Differences:
    kind = settings.device or device
    here = settings.identity(trained_config(settings), kind) | {"processes": 1}
    if run.status == "finished":
        here |= {"device_type": settings.device, "precision": settings.precision}
    there = run.to_json() | {"config": dict(run.config)}
    left_open = {name for name in ("device_type", "precision") if here[name] is None}
    names = [name for name in (*IDENTITY, "processes") if name not in left_open]
    shared = sorted(set(there["config"]) & set(here["config"]) - OF_THE_DATA)
    for facts in (there, here):
        facts["config"] = {name: facts["config"][name] for name in shared}
    return run_differences(compared(there, names), compared(here, names))


def _other_data(run: RunRecord, source: Source) -> Differences:
    """Return how a run's recorded data differs; a different order of classes does not count."""
    names = run.class_names
    if names is not None and source.named and sorted(names) != sorted(source.class_names):
        ours, theirs = set(source.class_names), set(names)
        return {"data.class_names": (quoted(sorted(theirs - ours)), quoted(sorted(ours - theirs)))}
    there = {"train_images": run.train_images, "val_images": run.val_images}
    here = {"train_images": len(source.train.labels), "val_images": len(source.val.labels)}
    return {f"data.{n}": (there[n], here[n]) for n in here if there[n] != here[n]}
