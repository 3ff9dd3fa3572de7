"""What a roadmap is: steps, each a small change to a model config or a training recipe."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from models.config import ModelConfig
from models.text import unknown_name
from roadmap.recipes import Recipe

if TYPE_CHECKING:
    from models import ModernResNet


@dataclass(frozen=True, kw_only=True)
class Step:
    """One change of a roadmap.

    ``group`` is the paper's section. ``hypothesis`` is one sentence: what the change was expected
    to bring. ``source`` says where it is stated, if not in the source of its group
    (``roadmap.steps.SOURCES``). ``why`` explains the change in a sentence or two. ``adopted`` is
    false for a step that was tried and undone. ``network`` is the name of the network that the step
    ends in, if it has one.
    """

    key: str
    title: str
    group: str
    why: str
    hypothesis: str = ""
    source: str = ""
    adopted: bool = True
    network: str = ""
    config_changes: Mapping[str, Any] = field(default_factory=dict, hash=False)
    recipe_changes: Mapping[str, Any] = field(default_factory=dict, hash=False)

    @property
    def full_title(self) -> str:
        """The title with the network's name, for places that show the step alone."""
        if not self.network:
            return self.title
        if self.key == "baseline":
            return f"{self.network} (baseline)"
        return f"{self.title} ({self.network})"


@dataclass(frozen=True, kw_only=True)
class Roadmap:
    """Steps in order, from ``start`` and ``start_recipe``; each builds on earlier adopted steps.

    ``short_title`` is for places with little room. ``networks`` are the names of the networks that
    it starts with and that it leads to.
    """

    name: str
    title: str
    short_title: str
    networks: tuple[str, str]
    start: ModelConfig
    start_recipe: Recipe
    steps: tuple[Step, ...]

    @property
    def keys(self) -> tuple[str, ...]:
        return tuple(step.key for step in self.steps)

    @property
    def changes_networks(self) -> bool:
        """Whether any step changes the network, not only the recipe."""
        return any(step.config_changes for step in self.steps)

    def step(self, key: str) -> Step:
        """Return step ``key``. Raises ``KeyError`` with the nearest key if it does not exist."""
        for step in self.steps:
            if step.key == key:
                return step
        raise KeyError(unknown_name("step", key, self.keys))

    def config(self, key: str, **changes: Any) -> ModelConfig:
        """Return the config of step ``key``, with ``changes`` such as ``num_classes=10``."""
        fields = _accumulated(self._path(key), "config_changes")
        return self.start.replace(**{**fields, **changes})

    def recipe(self, key: str) -> Recipe:
        """Return the training recipe of step ``key``."""
        return self.start_recipe.replace(**_accumulated(self._path(key), "recipe_changes"))

    def build(self, key: str, num_classes: int = 1000) -> ModernResNet:
        """Build the network of step ``key`` with initial weights. Imports torch."""
        from models import ModernResNet

        return ModernResNet(self.config(key, num_classes=num_classes))

    def previous(self, key: str) -> Step | None:
        """Return the adopted step before ``key``, which it is compared with; None for the first."""
        path = self._path(key)
        return path[-2] if len(path) > 1 else None

    def _path(self, key: str) -> list[Step]:
        """Return the adopted steps up to ``key``, and ``key`` itself."""
        last = self.step(key)
        before = self.steps[: self.steps.index(last)]
        return [step for step in before if step.adopted] + [last]


def _accumulated(steps: list[Step], kind: str) -> dict[str, Any]:
    changes: dict[str, Any] = {}
    for step in steps:
        changes |= getattr(step, kind)
    return changes
