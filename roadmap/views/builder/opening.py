"""What the builder opens: files of this project and of the hub, and names in timm."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from models.config import ConfigError, ModelConfig, differences
from models.text import unknown_name
from models.variants import FURTHER, TIMM_NAMES
from roadmap.steps import ROADMAPS
from roadmap.timm_names import PREFIX
from roadmap.views.common.builder_address import STARTS, Chosen, StartingPoint, at_start

#: timm's prefix for its names on the command line, as in ``timm:convnext_tiny``.
TIMM = "timm:"
#: Where a network of ``FURTHER`` starts from, by the first part of its name.
FAMILIES = {"convnext": "convnext_tiny", "convnextv2": "convnextv2_tiny"}


def from_file(text: str, start: StartingPoint) -> Chosen:
    """Read a config, a ``run.json`` or a hub folder's ``config.json``.

    A config becomes changes to the starting point with which it shares most; ``start`` if several
    do. A run has that of its step. Raises ``ConfigError`` if it is none of them or not valid.
    """
    try:
        content = json.loads(text)
    except (RecursionError, ValueError):
        content = None  # from_json says what is wrong
    if isinstance(content, Mapping):
        if isinstance(content.get("config"), Mapping):
            config = ModelConfig.from_dict(dict(content["config"]))
            return Chosen(_step_of(content) or _nearest(config, start), config)
        if isinstance(content.get("architecture"), str):
            return _of_hub(content)
    config = ModelConfig.from_json(text)
    return Chosen(_nearest(config, start), config)


def _step_of(run: Mapping[str, Any]) -> StartingPoint | None:
    source, step = run.get("roadmap"), run.get("step")
    if not isinstance(source, str) or step not in STARTS.get(source, ()):
        return None
    return StartingPoint(source, step)


def _nearest(config: ModelConfig, start: StartingPoint) -> StartingPoint:
    """Return the starting point with the fewest fields that differ from ``config``."""
    published = [StartingPoint("variant", name) for name in STARTS["variant"]]
    steps = [StartingPoint(source, step) for source in ROADMAPS for step in STARTS[source]]
    return min((start, *published, *steps), key=lambda each: len(differences(each.config, config)))


def from_name(text: str) -> Chosen:
    """Return the network of a name in timm, with or without the tag of its weights.

    Raises ``ConfigError`` if it is not one of the networks that this project builds.
    """
    name = text.strip().removeprefix(TIMM).partition(".")[0]
    known = {timm: StartingPoint("variant", ours) for ours, timm in TIMM_NAMES.items()}
    known |= {PREFIX + ours: StartingPoint("variant", ours) for ours in TIMM_NAMES}
    known |= {
        f"{PREFIX}{source}_{step}": StartingPoint(source, step)
        for source, steps in STARTS.items()
        for step in steps
    }
    if name in FURTHER:
        start = StartingPoint("variant", FAMILIES.get(name.partition("_")[0], "resnet50"))
        return Chosen(start, FURTHER[name])
    if name not in known:
        raise ConfigError(unknown_name("network", name, (*TIMM_NAMES.values(), *FURTHER)))
    return at_start(known[name])


def _of_hub(content: Mapping[str, Any]) -> Chosen:
    chosen = from_name(content["architecture"])
    changes = content.get("model_args") or {}
    if not isinstance(changes, Mapping):
        raise ConfigError("its model_args are not an object of fields and values")
    classes = content.get("num_classes", chosen.config.num_classes)
    return Chosen(chosen.start, chosen.config.replace(**{"num_classes": classes, **changes}))
