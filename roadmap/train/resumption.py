"""The command that resumes a run, built from its run.json without importing torch."""

from __future__ import annotations

import json
import shlex
from dataclasses import asdict
from pathlib import Path
from typing import Any

from roadmap.errors import RefusedError
from roadmap.runs.record import RunRecord
from roadmap.train.data.sources import DIGITS, PREFIXES
from roadmap.train.same_run import options
from roadmap.train.settings import Scale, default_precision, flat_differences, unchanged_recipe

#: What a record does not have: the folder of the data, and the file of the design.
PATH, DESIGN = "PATH", "FILE"


def resume_command(run: RunRecord, folder: Path, *, elsewhere: bool = False) -> str | None:
    """Return the command that resumes ``run`` in ``folder``, with ``PATH`` and ``DESIGN`` for what
    is not recorded; None if no options of this version give its settings. ``elsewhere`` states the
    precision too, whose default depends on the machine."""
    if run.point is not None:  # a sweep names the folders of its runs
        words, folder = ["sweep", "--design", DESIGN], folder.parent
    else:
        own = _options(run, elsewhere)
        if own is None:
            return None
        words = ["train", *_subject(run), *own]
    if run.data != DIGITS:
        named = "/" in run.data and run.data.partition("/")[0] in PREFIXES
        words += ["--data", run.data if named else PATH]
    return shlex.join(["python", "-m", "roadmap", *words, "--output", str(folder)])


def _subject(run: RunRecord) -> list[str]:
    if run.start is None:
        return ["--roadmap", run.roadmap, "--step", str(run.step)]
    start = run.start
    words = ["--weights", start.weights, "--layer-decay", str(start.layer_decay)]
    return [*words, "--frozen-stages", str(start.frozen_stages)]


def _options(run: RunRecord, elsewhere: bool) -> list[str] | None:
    """Return the options of ``train`` that are not its defaults; None if there are none for it."""
    scale: Scale = "pocket" if run.scale == "pocket" else "full"
    try:
        recipe = unchanged_recipe(run.roadmap, run.step, run.recipe_name, scale)
    except RefusedError:  # a recipe that this version does not have
        return None
    there = _facts(run)
    precision = None if elsewhere else default_precision(run.device_type or "cpu", run.scale)
    default = {
        "recipe": json.loads(json.dumps(asdict(recipe))),
        "seed": 0,
        "scale": "full",
        "precision": precision,
        "micro_batch": None,
        "sync_batch_norm": True,
        "device_type": None if run.device_type == "cpu" else run.device_type,
    }
    given = options(flat_differences(there, default), there)
    if given is None:
        return None
    name = [] if run.recipe_name is None else ["--recipe", run.recipe_name]
    return [*name, *given.split(), *(["--compile"] if run.compiled else [])]


def _facts(run: RunRecord) -> dict[str, Any]:
    names = ("seed", "scale", "precision", "micro_batch", "sync_batch_norm", "device_type")
    return {"recipe": dict(run.recipe)} | {name: getattr(run, name) for name in names}
