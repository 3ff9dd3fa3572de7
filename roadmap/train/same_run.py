"""Whether a folder holds the requested run, and which options would match it. No torch."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import count
from pathlib import Path
from typing import Any

from models.text import said
from roadmap.recipes import option_name
from roadmap.runs.record import IDENTITY
from roadmap.train.settings import flat_differences

#: Options of ``train`` that are not recipe fields, by their names in run.json.
_OPTIONS = {
    **{name: f"--{name}" for name in ("roadmap", "step", "seed", "scale", "precision")},
    "micro_batch": "--micro-batch",
    "device_type": "--device",
    "start.layer_decay": "--layer-decay",
    "start.frozen_stages": "--frozen-stages",
}
#: What the weights are that fine-tuning starts from.
START = "start.sha256"
#: Recipe fields that follow from another one unless given explicitly.
_FOLLOWING = {"epochs": ("warmup_epochs",), "batch_size": ("lr",)}

#: What fine-tuning runs must share about their start; the file of the weights may move.
STARTS = ("sha256", "layer_decay", "frozen_stages")

Differences = dict[str, tuple[Any, Any]]


def compared(facts: Mapping[str, Any], names: Iterable[str] = IDENTITY) -> dict[str, Any]:
    """Return the fields ``names`` of a run that two runs must share."""
    start = facts.get("start") or {}
    own = {name: facts.get(name) for name in names if name != "start"}
    return own | {f"start.{name}": start.get(name) for name in STARTS}


def run_differences(there: Mapping[str, Any], here: Mapping[str, Any]) -> Differences:
    """Return differences of two runs that can change a result, as ``flat_differences``."""
    found = flat_differences(there, here)
    for name in _without_effect(there, here):
        found.pop(name, None)
    return found


def _without_effect(there: Mapping[str, Any], here: Mapping[str, Any]) -> Iterable[str]:
    yield "processes"
    batch = (here.get("recipe") or {}).get("batch_size", 0)
    if (here.get("config") or {}).get("norm") != "batch":  # otherwise the split has no effect
        yield from ("micro_batch", "sync_batch_norm")
    elif there.get("processes") == here.get("processes") == 1:
        yield "sync_batch_norm"
    if all((facts.get("micro_batch") or batch) >= batch for facts in (there, here)):
        yield "micro_batch"


def listed(found: Differences) -> str:
    """Return the differences ``found`` as text, with the options that set them."""
    return "; ".join(
        f"{_shown(name)} {said(there)} before, {said(here)} now"
        for name, (there, here) in _told(found).items()
    )


def options(found: Differences, there: Mapping[str, Any]) -> str | None:
    """Return the options of ``train`` that would match the run ``there``; None if no options
    can."""
    values = {name: pair[0] for name, pair in _told(found).items()}
    for name, following in _FOLLOWING.items():
        if f"recipe.{name}" in values:
            values |= {f"recipe.{each}": there["recipe"].get(each) for each in following}
    words = [_option(name, value) for name, value in values.items()]
    known = [word for word in words if word]
    return " ".join(known) if len(known) == len(words) else None


def _told(found: Differences) -> Differences:
    """Return ``found`` without differences that follow from others: those in the network, and
    those between a run from random weights and one that fine-tunes."""
    causes = {"roadmap", "step", "scale", START} & found.keys()
    follow = ("step", "start.layer_decay", "start.frozen_stages")
    dropped = follow if None in found.get(START, ()) else ()
    return {
        name: pair
        for name, pair in found.items()
        if name not in dropped
        and not (
            name.startswith("config.")
            and (causes or name.replace("config.", "recipe.", 1) in found)
        )
    }


def _option(name: str, value: Any) -> str | None:
    if name == "sync_batch_norm":
        return "--sync-batch-norm" if value else "--no-sync-batch-norm"
    field = name.removeprefix("recipe.")
    if field != name:
        values = value if isinstance(value, list) else ["none" if value is None else value]
        return f"{option_name(field)} {','.join(map(str, values))}"
    return f"{_OPTIONS[name]} {value}" if name in _OPTIONS and value is not None else None


def _shown(name: str) -> str:
    if name == START:
        return "SHA-256 of --weights"
    field = name.removeprefix("recipe.")
    return _OPTIONS.get(name, name) if field == name else option_name(field)


def free_folder(folder: Path) -> Path:
    """Return a free folder like ``folder`` for other runs, since reports read one folder."""
    if not folder.parent.name:
        folder = folder / folder.name
    others = (folder.parent.with_name(f"{folder.parent.name}-{n}") for n in count(2))
    return next(path for other in others if not (path := other / folder.name).exists())
