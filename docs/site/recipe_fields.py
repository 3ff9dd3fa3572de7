"""Documents the fields of ``Recipe`` with the texts of ``train --help``, in the reference."""

from __future__ import annotations

from typing import Any

from griffe import Attribute, Docstring, Extension

from roadmap.recipes import FIELDS
from roadmap.train.settings import describe_field

RECIPE = "roadmap.recipes.Recipe"


class RecipeFields(Extension):
    def on_attribute_instance(self, *, attr: Attribute, **_options: Any) -> None:
        if attr.parent is not None and attr.parent.path == RECIPE and attr.name in FIELDS:
            attr.docstring = Docstring(f"{describe_field(attr.name)}.", parent=attr)
