"""A table of the learning rate over a whole run, as set in training. Imports no torch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from roadmap.recipes import Recipe
from roadmap.schedule import learning_rate

if TYPE_CHECKING:
    from pandas import DataFrame

#: Training images of ImageNet-1K (Russakovsky et al. 2015).
IMAGENET_IMAGES = 1_281_167
#: Rows per run, evenly spaced over its steps.
POINTS = 600


def schedule_table(recipes: Mapping[str, Recipe], images: int = IMAGENET_IMAGES) -> DataFrame:
    """Return the learning rates of ``recipes``, with ``POINTS`` rows per recipe.

    Columns: ``recipe``, ``step`` (optimizer steps from 0), ``epoch``, ``share`` of the run (0 to
    1) and ``rate``. A run has the recipe's epochs and batch size on ``images`` training images.
    """
    import pandas as pd

    rows = []
    for name, recipe in recipes.items():
        an_epoch = images // recipe.batch_size
        total = recipe.epochs * an_epoch
        for point in range(POINTS):
            step = round(point * (total - 1) / (POINTS - 1))
            rate = learning_rate(recipe, step, an_epoch)
            rows.append((name, step, step / an_epoch, step / total, rate))
    return pd.DataFrame(rows, columns=["recipe", "step", "epoch", "share", "rate"])
