"""A finished run as a folder for the Hugging Face hub: weights, code, config for timm, model card.

``hf upload USER/NAME FOLDER`` publishes it. Three programs load the weights: PyTorch with
``Network`` of the Python file, ``models.load``, and
``timm.create_model("local-dir:FOLDER", pretrained=True)``.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from models.config import ModelConfig
from models.network import ModernResNet
from models.spec import network_spec, placed_layers
from roadmap.export.card import CLASS_MAP, model_card
from roadmap.export.check import ExportError
from roadmap.export.publication import Publication
from roadmap.export.source import save_source
from roadmap.export.weights import save_safetensors
from roadmap.files import read_json, write_bytes, write_json
from roadmap.steps import ROADMAPS
from roadmap.timm_names import PREFIX
from roadmap.train.data.augment import MEAN, STD
from roadmap.train.data.class_names import class_map

WEIGHTS, CODE, CONFIG, CARD = "model.safetensors", "network.py", "config.json", "README.md"
#: Config fields that do not affect the shapes of weights, or for which timm has its own entries.
UNSHAPED = ("init", "layer_scale", "stochastic_depth", "num_classes", "in_channels")


def save_hub(
    published: Publication,
    network: ModernResNet,
    folder: Path,
    facts: Mapping[str, Any],
    license_name: str | None = None,
) -> dict[str, float]:
    """Write ``folder`` from ``network``, which has the published weights, and ``facts`` about them.

    ``license_name`` is that of ``model_card``. Other files in a folder of an earlier export are
    kept. Returns ``{format: difference}``, the largest difference between outputs of each file
    and of ``network``, relative to the largest output. Raises ``ExportError`` if outputs differ or
    the folder is not from an earlier export, ``OSError`` if it cannot be written.
    """
    _check_ours(folder)
    names = facts.get("class_names")
    config = timm_config(published, network.config, names)
    mapped = class_map(names) if names else None
    card = model_card(published, network.config, license_name, names, mapped is not None)
    size = published.run.recipe["test_size"]
    differences = {
        "safetensors": save_safetensors(network, folder / WEIGHTS, facts, size),
        "py": save_source(network.config, folder / CODE, size),
    }
    write_json(folder / CONFIG, config)
    write_bytes(folder / CARD, card.encode())
    if mapped is None:
        (folder / CLASS_MAP).unlink(missing_ok=True)  # from an earlier export
    else:
        write_bytes(folder / CLASS_MAP, mapped.encode())
    return differences


def timm_config(
    published: Publication, config: ModelConfig, class_names: Sequence[str] | None = None
) -> dict[str, Any]:
    """Return the hub's ``config.json`` as timm reads it.

    It has ``model_args`` if the network is not the full-size step, as at pocket scale.
    """
    recipe = published.run.recipe
    size = recipe["test_size"]
    last = list(placed_layers(network_spec(config), size))[-1]
    changed = _changed(published, config)
    return {
        "architecture": published.architecture,
        "num_classes": config.num_classes,
        "num_features": config.num_features,
        "global_pool": "avg",
        **({"label_names": list(class_names)} if class_names else {}),
        **({"model_args": changed} if changed else {}),
        "pretrained_cfg": {
            "custom_load": False,
            "input_size": [config.in_channels, size, size],
            "fixed_input_size": False,
            "interpolation": recipe["interpolation"],
            "crop_pct": crop_share(size, recipe["test_resize"]),
            "crop_mode": "center",
            "mean": list(MEAN),
            "std": list(STD),
            "num_classes": config.num_classes,
            "pool_size": [last.out_size, last.out_size],
            "first_conv": "stem.conv",
            "classifier": "head.fc",
        },
    }


def crop_share(size: int, resize: int) -> float:
    """Return the ``crop_pct`` with which timm, which rounds ``size / crop_pct`` down, resizes to
    ``resize``."""
    share = size / resize
    return share if math.floor(size / share) == resize else math.nextafter(share, 0)


def _changed(published: Publication, config: ModelConfig) -> dict[str, Any]:
    """Return the fields that change shapes relative to the step's full-size network."""
    full = ROADMAPS[published.run.roadmap].config(published.run.step).to_dict()
    return {
        name: value
        for name, value in config.to_dict().items()
        if name not in UNSHAPED and value != full[name]
    }


def _check_ours(folder: Path) -> None:
    """Refuse a folder with files that are not from an earlier export."""
    if not folder.exists() or (folder.is_dir() and not any(folder.iterdir())):
        return
    try:
        content = read_json(folder / CONFIG)
        ours = content["architecture"].startswith(PREFIX)
    except (OSError, ValueError, LookupError, TypeError, AttributeError):
        ours = False
    if not ours:
        raise ExportError(f"{folder} contains other files: use another folder, or empty it")
