"""The builder's state as URL parameters: a starting point and the changed fields, for A and B.

``a=resnet50.kernel_7~norm.layer~depths.3-3-27-3`` is step ``kernel_7`` of ResNet-50's roadmap
with two changes. Items are separated by tildes, a name from its value by the first dot; none of
these characters needs escaping in a URL.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

from models.config import BOUNDS, CHOICES, FIELDS, ConfigError, ModelConfig, differences
from models.text import ended, said, unknown_name
from models.variants import VARIANT_TITLES, VARIANTS
from roadmap.steps import ROADMAPS

Slot = Literal["a", "b"]
IMAGE_SIZE, IMAGE_SIZES = 224, (1, 1024)
#: Starting points by source: every step and the published networks.
STARTS: dict[str, tuple[str, ...]] = {
    **{name: roadmap.keys for name, roadmap in ROADMAPS.items()},
    "variant": tuple(VARIANTS),
}
SOURCE_TITLES = {
    **{
        name: roadmap.title if roadmap.changes_networks else roadmap.short_title
        for name, roadmap in ROADMAPS.items()
    },
    "variant": "Published networks",
}
LONGEST = 1000  # characters of a parameter
NONE, TRUE, FALSE = "none", "true", "false"


class AddressError(ValueError):
    """A URL parameter that is not a config; the message says what would be valid."""


@dataclass(frozen=True)
class StartingPoint:
    """A step of a roadmap, or a published network (source ``variant``)."""

    source: str
    name: str

    @property
    def config(self) -> ModelConfig:
        if self.source == "variant":
            return VARIANTS[self.name]
        return ROADMAPS[self.source].config(self.name)

    @property
    def title(self) -> str:
        if self.source == "variant":
            return VARIANT_TITLES[self.name]
        return ROADMAPS[self.source].step(self.name).full_title

    @property
    def short_title(self) -> str:
        """The title where there is little room: without the network of a step."""
        if self.source == "variant":
            return VARIANT_TITLES[self.name]
        return ROADMAPS[self.source].step(self.name).title


@dataclass(frozen=True)
class Chosen:
    """A config and its starting point."""

    start: StartingPoint
    config: ModelConfig

    @property
    def changes(self) -> dict[str, tuple[Any, Any]]:
        """Fields that differ from the start, as ``{field: (start, here)}``."""
        return differences(self.start.config, self.config)


@dataclass(frozen=True)
class Builder:
    """The page's state: config A, config B if two are compared, which one the controls edit, and
    the image size in pixels. ``problems`` has one sentence per invalid parameter."""

    a: Chosen
    b: Chosen | None = None
    edited: Slot = "a"
    image_size: int = IMAGE_SIZE
    problems: tuple[str, ...] = ()

    @property
    def current(self) -> Chosen:
        """The config that the controls edit."""
        return self.b if self.edited == "b" and self.b else self.a

    def with_current(self, chosen: Chosen) -> Builder:
        return replace(self, b=chosen) if self.edited == "b" else replace(self, a=chosen)


def at_start(start: StartingPoint) -> Chosen:
    return Chosen(start, start.config)


def parse(parameters: Mapping[str, str], start: StartingPoint) -> Builder:
    """Parse ``parameters``; A is ``start`` unless they set it. Never raises."""
    problems: list[str] = []
    found: dict[str, Chosen] = {"a": at_start(start)}
    for slot in ("a", "b"):
        if text := parameters.get(slot):
            try:
                found[slot] = parse_chosen(text)
            except (AddressError, ConfigError) as error:
                problems.append(f"Config {slot.upper()} in this link is not valid: {ended(error)}")
    edited: Slot = "b" if parameters.get("edit") == "b" and "b" in found else "a"
    size = _image_size(parameters.get("image"), problems)
    return Builder(found["a"], found.get("b"), edited, size, tuple(problems))


def parameters(builder: Builder) -> dict[str, str]:
    """Return ``builder`` as URL parameters; defaults are left out."""
    found = {"a": format_chosen(builder.a)}
    if builder.b:
        found["b"] = format_chosen(builder.b)
    if builder.edited == "b":
        found["edit"] = "b"
    if builder.image_size != IMAGE_SIZE:
        found["image"] = str(builder.image_size)
    return found


def parse_chosen(text: str) -> Chosen:
    """Parse one config. Raises ``AddressError`` for text that cannot be parsed and
    ``ConfigError`` for an invalid combination of fields."""
    if len(text) > LONGEST:
        raise AddressError(f"it is {len(text):,} characters long; use at most {LONGEST:,}")
    point, *items = text.split("~")
    start = _start(point)
    changes = {}
    for item in items:
        name, dot, value = item.partition(".")
        if name not in FIELDS:
            raise AddressError(unknown_name("field", name, FIELDS))
        if not dot:
            raise AddressError(f"{name} has no value; write {name}.VALUE")
        changes[name] = _value(name, value)
    return Chosen(start, start.config.replace(**changes))


def format_chosen(chosen: Chosen) -> str:
    items = [f"{name}.{_text(value)}" for name, (_, value) in chosen.changes.items()]
    return "~".join([f"{chosen.start.source}.{chosen.start.name}", *items])


def _start(text: str) -> StartingPoint:
    source, _, name = text.partition(".")
    if source not in STARTS:
        raise AddressError(unknown_name("starting point", source, tuple(STARTS)))
    if name not in STARTS[source]:
        raise AddressError(unknown_name(f"{source} step", name, STARTS[source]))
    return StartingPoint(source, name)


def _value(name: str, text: str) -> Any:
    """Convert ``text`` to a value of field ``name``; ``ModelConfig`` validates it."""
    if name in CHOICES:
        return next((choice for choice in CHOICES[name] if _text(choice) == text), text)
    try:
        if name == "depths":
            return tuple(int(part) for part in text.split("-"))
        if text == NONE:
            return None
        return int(text) if name in BOUNDS else float(text)
    except ValueError:
        return text


def _text(value: Any) -> str:
    if value is None:
        return NONE
    if isinstance(value, bool):
        return TRUE if value else FALSE
    if isinstance(value, tuple):
        return "-".join(map(str, value))
    return f"{value:g}" if isinstance(value, float) and float(f"{value:g}") == value else str(value)


def _image_size(text: str | None, problems: list[str]) -> int:
    low, high = IMAGE_SIZES
    if text is None:
        return IMAGE_SIZE
    if text.isascii() and text.isdigit() and len(text) < 6 and low <= int(text) <= high:
        return int(text)
    problems.append(
        f"The image size in the URL is {said(text)}; use a whole number of pixels from {low} "
        f"to {high:,}. Using {IMAGE_SIZE}."
    )
    return IMAGE_SIZE
