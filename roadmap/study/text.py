"""What a study says, in sentences."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from roadmap.report.text import p_value, signed
from roadmap.study.effects import Effects, Interaction, Worth
from roadmap.study.experiment import Experiment
from roadmap.study.model import Effect
from roadmap.text import counted

#: Enough to see the pattern, few enough to read.
SHOWN_INTERACTIONS = 6
MOST_NAMED = 5


def with_interval(effect: Effect) -> str:
    """``+1.20 points (95% interval 0.40 to 2.00)``."""
    return (
        f"{signed(effect.points, 2)} points (95% interval {signed(effect.low, 2)} to "
        f"{signed(effect.high, 2)})"
    )


def with_interval_of(row: Mapping[str, Any]) -> str:
    """``with_interval`` of a row that has ``points``, ``low`` and ``high``."""
    return with_interval(Effect(row["points"], row["low"], row["high"], 1.0))


def short(effect: Effect | None, verdict: str) -> str:
    """For a cell: ``+1.20 ±0.83 gain``."""
    if effect is None:
        return "–"
    half = (effect.high - effect.low) / 2
    word = "" if verdict == "inconclusive" else f" {verdict}"
    return f"{signed(effect.points, 2)} ±{half:.2f}{word}"


def basis(experiment: Experiment) -> list[str]:
    """What the predictions rest on."""
    model, judgement = experiment.model, experiment.judgement
    fitted = f"Fitted to {model.runs} of {experiment.planned} runs on {model.data}"
    if not model.whole:
        kept, all_of_them = len(model.interactions), len(model.design.interactions)
        fitted += f", so far with {kept} of {counted(all_of_them, 'interaction')}" + (
            "" if model.squares else " and without curvature"
        )
    about = f"Standard deviation of a run about the model: {model.points_std:.2f} points."
    said = [f"{fitted}. {about}"]
    if experiment.foreign:
        names = ", ".join(run.path.name[:60] for run in experiment.foreign[:MOST_NAMED])
        said.append(
            f"{counted(len(experiment.foreign), 'run')} left out, not as in the design or on "
            f"other data: {names}."
        )
    if experiment.unlearned:
        said.append(_unlearned(experiment))
    if model.pure_error is not None:
        pure = model.pure_error
        said.append(
            f"Runs that differ only in the seed: {pure.std:.2f} points ({pure.degrees} pairs). "
            + (
                ""
                if pure.lack_of_fit_p is None
                else f"Lack of fit: p = {p_value(pure.lack_of_fit_p)}."
            )
        )
    if judgement is not None:
        said.append(
            f"On {judgement.runs} held-out runs the predictions are off by {judgement.rmse:.2f} "
            f"points (root mean square), and {100 * judgement.coverage:.0f}% of the scores are "
            "inside their 95% intervals."
        )
    return [sentence.strip() for sentence in said]


def _unlearned(experiment: Experiment) -> str:
    """How many runs are left out since they did not learn, and what they have in common."""
    runs = experiment.unlearned
    levels = [dict(run.point.levels) for run in runs]
    shared = [
        factor.level(levels[0][factor.name]).title
        for factor in experiment.design.space.factors
        if len({one[factor.name] for one in levels}) == 1
    ]
    common = f" All have in common: {', '.join(shared)}." if len(runs) > 1 and shared else ""
    verb = "is" if len(runs) == 1 else "are"
    return (
        f"{counted(len(runs), 'run')} did not learn (no better than three times guessing) and "
        f"{verb} left out: {', '.join(run.point.key for run in runs)}.{common}"
    )


def summary(worth: Sequence[Worth], data: str) -> str:
    """One sentence about one view."""
    found = [w for w in worth if w.verdict in ("gain", "loss")]
    if not found:
        return f"On {data}, no change is significant."
    gains = [w for w in found if w.verdict == "gain"]
    losses = [w for w in found if w.verdict == "loss"]
    parts = []
    if gains:
        parts.append(f"{_listed(gains)} {'gains' if len(gains) == 1 else 'gain'}")
    if losses:
        parts.append(f"{_listed(losses)} {'costs' if len(losses) == 1 else 'cost'} accuracy")
    undecided = sum(w.verdict == "inconclusive" for w in worth)
    verb = "is" if undecided == 1 else "are"
    rest = f"; {undecided} of {len(worth)} {verb} inconclusive" if undecided else ""
    return f"On {data}, {', and '.join(parts)}{rest}."


def interaction(found: Interaction) -> str:
    """``Layer scale 1e-06 and Epochs: the effect of one differs by … between the ends of the
    other.``"""
    return (
        f"{found.first.title} and {found.second.title}: from one end of the second to the other, "
        f"the effect of the first changes by {with_interval(found.effect)}."
    )


def conditions(effects: Effects, leave_out: Collection[str] = ()) -> str:
    """How the compared networks are trained, but for the factors to ``leave_out``."""
    space = effects.space
    said = []
    for factor in space.factors:
        if factor.kind == "change" or factor.name in leave_out:
            continue
        if factor.name in effects.quantities:
            value = f"{effects.quantities[factor.name]:g}"
            epochs = factor.name == "epochs"
            said.append(f"{value} epochs" if epochs else f"{factor.title.lower()} {value}")
        else:
            title = factor.level(effects.start[factor.name]).title
            said.append(title if title.startswith("PyTorch") else title[0].lower() + title[1:])
    return ", ".join(said)


def _listed(found: Sequence[Worth]) -> str:
    effects = [(w.change.title, w.effect.points) for w in found if w.effect is not None]
    ordered = sorted(effects, key=lambda one: -abs(one[1]))
    words = [f"{title} ({signed(points, 2)})" for title, points in ordered]
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"
