"""Networks by name, such as ``resnet50:kernel_7``, ``variant:convnext_tiny``,
``timm:convnext_tiny`` or ``torchvision:resnet50``."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from models.config import ModelConfig
from models.text import said, shortened, unknown_name
from models.variants import VARIANTS
from roadmap.steps import ROADMAPS

if TYPE_CHECKING:
    from torch import nn

LIBRARIES = ("timm", "torchvision")
SOURCES = (*ROADMAPS, "variant", *LIBRARIES)


class UnknownNetworkError(ValueError):
    """An unknown network name; the message suggests the nearest one."""


def split_name(name: str) -> tuple[str, str]:
    """Split ``source:name``. Raises ``UnknownNetworkError`` for an unknown source."""
    source, colon, rest = name.partition(":")
    if not colon or source not in SOURCES:
        raise UnknownNetworkError(
            f"No network is named {said(name)}. Use SOURCE:NAME, such as resnet50:kernel_7 or "
            f"timm:convnext_tiny; the sources are {', '.join(SOURCES)}."
        )
    return source, rest


def config_of(name: str) -> ModelConfig | None:
    """Return the config of a step or variant, or None for a library's network (not checked).

    Raises ``UnknownNetworkError`` with the nearest name.
    """
    source, rest = split_name(name)
    if source in LIBRARIES:
        return None
    names = tuple(VARIANTS) if source == "variant" else ROADMAPS[source].keys
    if rest not in names:
        kind = "variant" if source == "variant" else f"step of {source}"
        raise UnknownNetworkError(unknown_name(kind, rest, names))
    return VARIANTS[rest] if source == "variant" else ROADMAPS[source].config(rest)


def described(config: ModelConfig, facts: Mapping[str, Any]) -> str:
    """Describe the network of a file with these ``facts``: its step, if known, and its shape unless
    that is the step's own."""
    shape = f"width {config.width}, depths {' '.join(map(str, config.depths))}"
    if not facts.get("step"):
        return f"a network of {shape}"
    name = ":".join(shortened(facts.get(part, "?"), 60) for part in ("roadmap", "step"))
    try:
        full = config_of(name)
    except UnknownNetworkError:
        full = None
    if full and (full.depths, full.width) == (config.depths, config.width):
        return name
    return f"{name} of {shape}"


def check(name: str) -> None:
    """Raise ``UnknownNetworkError`` if ``name`` is unknown; imports its library, if any."""
    source, rest = split_name(name)
    if source == "timm":
        _check_timm(rest)
    elif source == "torchvision":
        _check_torchvision(rest)
    else:
        config_of(name)


def build(name: str, **options: Any) -> nn.Module:
    """Build an initialized network; ``options`` such as ``num_classes`` go to its constructor.

    Raises ``UnknownNetworkError`` with the nearest name.
    """
    check(name)
    config = config_of(name)
    if config is not None:
        from models.network import ModernResNet

        return ModernResNet(config.replace(**options))
    source, rest = split_name(name)
    if source == "timm":
        import timm

        return timm.create_model(rest, pretrained=False, **options)
    from torchvision import models

    return models.get_model(rest, weights=None, **options)


def _check_timm(name: str) -> None:
    import timm

    import roadmap.timm_models  # noqa: F401 - registers steps and sizes

    if not timm.is_model(name):
        near = difflib.get_close_matches(shortened(name), timm.list_models(), n=5, cutoff=0.5)
        hint = "timm.list_models() lists them."
        if near:
            hint = f"Did you mean {near[0]!r}? Also near: {', '.join(near[1:])}."
        raise UnknownNetworkError(f"timm has no model named {said(name)}. {hint}")


def _check_torchvision(name: str) -> None:
    from torchvision import models

    names = tuple(models.list_models(module=models))
    if name not in names:
        raise UnknownNetworkError(unknown_name("torchvision model", name, names))
