"""The results of a study as flat rows, for tables, CSV, JSON and charts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from roadmap.study.atlas import Limits, atlas, changed_titles
from roadmap.study.confirmation import Confirmation
from roadmap.study.effects import Effects
from roadmap.study.space import Levels, network_cost
from roadmap.study.speed import Speed

if TYPE_CHECKING:
    from pandas import DataFrame

#: How many numbers of epochs to check for the one from which a change pays.
LENGTHS = 9


def effect_rows(effects: Effects) -> list[dict[str, Any]]:
    """Return one row per change, with points, interval, p and verdict in each view.

    Values are None for impossible changes. ``pays_from_epochs`` is for the change in the paper's
    place, None if it does not pay in the trained range.
    """
    views = {view: effects.worth(view) for view in effects.views}
    budgets = effects.budgets(lengths(effects)) if "epochs" in effects.quantities else None
    rows = []
    for i, change in enumerate(effects.changes):
        row: dict[str, Any] = {"key": change.name, "title": change.title, "level": change.after}
        for view, worths in views.items():
            name, worth = view.replace(" ", "_"), worths[i]
            effect = worth.effect
            row[name] = effect and effect.points
            row |= {f"{name}_{k}": effect and getattr(effect, k) for k in ("low", "high", "p")}
            row[f"{name}_verdict"] = worth.verdict
        row["pays_from_epochs"] = budgets[i].pays_from if budgets else None
        rows.append(row)
    return rows


def lengths(effects: Effects) -> list[float]:
    """Return ``LENGTHS`` numbers of epochs, from the smallest to the largest trained."""
    values = effects.space.factor("epochs").values
    return [round(float(e)) for e in np.geomspace(min(values), max(values), LENGTHS)]


def best_levels(
    effects: Effects, limits: Limits, *, own_rate: bool, speed: Speed | None = None
) -> dict[str, str]:
    """Return the combination with the highest prediction within ``limits``.

    Raises ``StudyError`` if there is none, or if a limit on time comes without ``speed``.
    """
    found = atlas(effects, own_rate=own_rate, speed=speed)
    return dict(found.levels[found.best(limits)])


def prediction_row(
    effects: Effects, levels: Levels, *, own_rate: bool, speed: Speed | None = None
) -> dict[str, Any]:
    """Return the prediction and cost of one combination; ``minutes`` of training need ``speed``.

    Raises ``StudyError`` if the combination is not in the space.
    """
    rate = effects.quantities.get("lr")
    if own_rate and effects.has_best_rate:
        rate = effects.best_rate(levels)
    found = effects.predicted(levels, rate)
    config = effects.space.network(levels)
    cost = network_cost(config)
    titles = changed_titles(effects.space, levels, [c.name for c in effects.changes])
    return {
        "network": ", ".join(titles) or "start",
        "top1": found.top1,
        "low": found.low,
        "high": found.high,
        "lr": rate,
        "gflops": cost.gmacs,
        "parameters": cost.parameters,
        "minutes": speed and effects.epochs * speed.epoch_seconds_of(levels) / 60,
        "config": config.to_dict(),
    }


def view_rows(effects: Effects, view: str) -> list[dict[str, Any]]:
    """Return one row per change, for one view."""
    return [
        {
            "key": worth.change.name,
            "title": worth.change.title,
            "points": worth.effect and worth.effect.points,
            "low": worth.effect and worth.effect.low,
            "high": worth.effect and worth.effect.high,
            "p": worth.effect and worth.effect.p,
            "verdict": worth.verdict,
            "why": worth.why,
        }
        for worth in effects.worth(view)
    ]


def view_table(rows: Sequence[dict[str, Any]]) -> DataFrame:
    """Return ``view_rows`` as a DataFrame, for charts."""
    import pandas as pd

    return pd.DataFrame(rows).astype({"points": float, "low": float, "high": float})


def interaction_rows(effects: Effects) -> list[dict[str, Any]]:
    """Return one row per interaction of the model."""
    return [
        {
            "first": one.first.title,
            "second": one.second.title,
            "points": one.effect.points,
            "low": one.effect.low,
            "high": one.effect.high,
            "p": one.effect.p,
        }
        for one in effects.interactions()
    ]


def confirmation_rows(found: Sequence[Confirmation]) -> list[dict[str, Any]]:
    """Return one row per confirmation run; predictions are None beyond the trained range."""
    rows = []
    for one in found:
        top1, low, high = one.prediction or (None, None, None)
        rows += [
            {
                "design": one.design,
                "step": one.step,
                "epochs": one.epochs,
                "lr": one.lr,
                "predicted": top1,
                "low": low,
                "high": high,
                "measured": score,
            }
            for score in one.scores
        ]
    return rows


def path_rows(effects: Effects, order: Sequence[str], name: str) -> list[dict[str, Any]]:
    """Return one row per network from the start on, as changes are added in ``order``.

    Raises ``StudyError`` for an order with an invalid network.
    """
    titles = {change.name: change.title for change in effects.changes}
    rows = []
    path = effects.path(order)
    for number, levels in enumerate(path):
        found = effects.predicted(levels)
        cost = network_cost(effects.space.network(levels))
        rows.append(
            {
                "path": name,
                "number": number,
                "key": order[number - 1] if number else "start",
                "title": titles[order[number - 1]] if number else "Start",
                "top1": found.top1,
                "low": found.low,
                "high": found.high,
                "gflops": cost.gmacs,
                "parameters": cost.parameters / 1e6,
            }
        )
    return rows
