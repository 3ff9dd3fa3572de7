"""Finished run folders with weights in them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from fake_runs import write_run

from models import ModelConfig, ModernResNet
from models.files import weights_content
from roadmap.export.check import fill
from roadmap.steps import ROADMAPS

CLASSES = 7
SMALL = {"depths": (1, 1), "width": 8, "num_classes": CLASSES}


def filled(config: ModelConfig) -> ModernResNet:
    return fill(ModernResNet(config)).eval()


def write_weights(
    folder: Path, *names: str, small: dict[str, Any] | None = None, **facts: Any
) -> ModelConfig:
    """Put weights ``names`` of the run's step into its ``folder``; returns their config.

    ``facts`` are written down with them; those that are None are left out.
    """
    run = json.loads((folder / "run.json").read_text())
    changes = SMALL if small is None else small
    config = ROADMAPS[run["roadmap"]].config(run["step"], **changes)
    class_names = [f"class {number}" for number in range(config.num_classes)]
    known = {name: run[name] for name in ("roadmap", "step", "recipe", "data")}
    facts = {**known, "class_names": class_names, **facts}
    facts = {name: value for name, value in facts.items() if value is not None}
    content = weights_content(filled(config).state_dict(), config, **facts)
    for name in names or ("weights",):
        (folder / f"{name}.safetensors").write_bytes(b"".join(content))
    return config


def write_published(root: Path, *arguments: Any, **options: Any) -> Path:
    """``write_run`` with its weights."""
    folder = write_run(root, *arguments, **options)
    write_weights(folder)
    return folder
