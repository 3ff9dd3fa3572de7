"""What a term of the glossary is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

#: Where the paper states its training recipe.
RECIPE = "Liu et al. 2022, Section 2.1 and Table 5"


@dataclass(frozen=True)
class Term:
    """A term; ``forms`` are its spellings in text besides the name, without plurals and capitals.

    ``step`` is the step of ResNet-50's roadmap whose operation shows the idea.
    """

    key: str
    name: str
    definition: str
    draw: Callable[[], str]
    forms: tuple[str, ...] = ()
    source: str = ""
    step: str = ""
