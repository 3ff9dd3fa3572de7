"""``results/measured/complexity.csv``: fvcore's counts, one row per network."""

from __future__ import annotations

import datetime
from importlib.metadata import version
from typing import Any

from models.config import ModelConfig
from roadmap.measure import networks
from roadmap.measure.complexity import Trace, trace
from roadmap.measure.receptive_field import receptive_fields
from roadmap.tables.results import merge_rows

TABLE = "measured/complexity"
OPERATORS = ("conv", "linear", "matmul", "batch_norm", "layer_norm")


def rows(names: list[str], image_size: int = 224) -> list[dict[str, Any]]:
    """Return one row per network; show progress if standard error is a terminal.

    Raises ``UnknownNetworkError`` for an unknown name, ``ValueError`` if the image is too small.
    """
    from rich.console import Console
    from rich.progress import track

    console = Console(stderr=True)
    return [
        _row(name, image_size)
        for name in track(
            names, "Counting", console=console, transient=True, disable=not console.is_terminal
        )
    ]


def module_rows(name: str, image_size: int = 224) -> list[dict[str, Any]]:
    """Return one row per module with parameters or operations, the whole network first.

    Raises the same errors as ``rows``.
    """
    counts = _trace(name, image_size)
    return [
        {
            "module": path or "(whole network)",
            "params": counts.parameters_by_module.get(path, 0),
            "macs": counts.macs_of(path),
            "activations": counts.activations_by_module.get(path, 0),
            **{operator: operators.get(operator, 0) for operator in OPERATORS},
        }
        for path, operators in counts.operators_by_module.items()
        if operators or counts.parameters_by_module.get(path)
    ]


def save(new: list[dict[str, Any]]) -> None:
    """Add ``new`` to the table, replacing rows of the same networks in place."""
    merge_rows(TABLE, ("source", "name"), new)


def _row(name: str, image_size: int) -> dict[str, Any]:
    source, rest = networks.split_name(name)
    counts = _trace(name, image_size)
    config = networks.config_of(name)
    return {
        "source": source,
        "name": rest,
        "image_size": image_size,
        "params": counts.parameters,
        "macs": counts.macs,
        **{operator: counts.operators.get(operator, 0) for operator in OPERATORS},
        "fvcore_total": sum(counts.operators.values()),
        "activations": counts.activations,
        **_fields(config),
        "torch": version("torch"),
        "fvcore": version("fvcore"),
        "timm": version("timm"),
        "date": datetime.date.today().isoformat(),
    }


def _fields(config: ModelConfig | None) -> dict[str, int | None]:
    """Return receptive field and stride of the last stage; None for a library's network."""
    if config is None:
        return {"receptive_field": None, "stride": None}
    last = receptive_fields(config)[-1]
    return {"receptive_field": last.size, "stride": last.stride}


def _trace(name: str, image_size: int) -> Trace:
    from models.spec import network_spec, placed_layers

    config = networks.config_of(name)
    if config is not None:  # gives a clearer error than torch if the image is too small
        list(placed_layers(network_spec(config), image_size))
    if name.startswith("timm:"):
        import timm

        timm.layers.set_fused_attn(False)  # fvcore cannot count fused attention
    try:
        return trace(networks.build(name), image_size)
    except (AssertionError, RuntimeError) as error:
        reason = str(error).strip().splitlines() or [type(error).__name__]
        raise ValueError(
            f"{name} does not run on an image of {image_size} pixels: {reason[0]}"
        ) from None
