"""Sentences about the results of a study."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from roadmap.analysis.verdict import GAIN, INCONCLUSIVE, LOSS
from roadmap.study.confirmation import Confirmation, confirmed
from roadmap.study.effects import Effects, Interaction, Worth
from roadmap.study.experiment import Experiment
from roadmap.study.model import Effect
from roadmap.study.space import Levels
from roadmap.study.speed import Speed
from roadmap.text import counted, data_title, p_value, signed

#: The most interactions and excluded runs that are listed.
SHOWN_INTERACTIONS = 6
MOST_NAMED = 5


def with_interval(effect: Effect) -> str:
    """Format an effect: ``+1.20 points (95% interval +0.40 to +2.00)``."""
    return (
        f"{signed(effect.points, 2)} points (95% interval {signed(effect.low, 2)} to "
        f"{signed(effect.high, 2)})"
    )


def with_interval_of(row: Mapping[str, Any]) -> str:
    """Format the effect in a row with ``points``, ``low`` and ``high``."""
    return with_interval(Effect(row["points"], row["low"], row["high"], 1.0))


def short(effect: Effect | None, verdict: str) -> str:
    """Format an effect for a table cell: ``+1.20 ±0.83 gain``."""
    if effect is None:
        return "–"
    half = (effect.high - effect.low) / 2
    word = "" if verdict == INCONCLUSIVE else f" {verdict}"
    return f"{signed(effect.points, 2)} ±{half:.2f}{word}"


def basis(experiment: Experiment, effects: Effects, lr: float | None = None) -> list[str]:
    """Describe the runs that the predictions of ``effects`` are based on, and the fit.

    The residual standard deviation is that at the learning rate ``lr``, by default the settings'.
    """
    model, judgement = experiment.model, experiment.judgement
    fitted = f"Fitted to {model.runs} of {experiment.planned} runs on {data_title(model.data)}"
    settings = effects.quantities | ({"lr": lr} if lr else {})
    about = (
        f"Residual standard deviation after {effects.epochs:g} epochs"
        f"{' at this rate' if 'lr' in settings else ''}: {model.run_std(**settings):.2f} points at "
        "a top-1 of 50%."
    )
    said = [f"{fitted}. {about}"]
    if experiment.foreign:
        names = ", ".join(run.path.name[:60] for run in experiment.foreign[:MOST_NAMED])
        said.append(
            f"{counted(len(experiment.foreign), 'run')} left out for not matching the design or "
            f"its data: {names}."
        )
    if experiment.unlearned:
        said.append(_unlearned(experiment))
    if model.pure_error is not None:
        pure = model.pure_error
        said.append(
            f"Standard deviation between seeds: {pure.std:.2f} points ({pure.degrees} pairs). "
            + (
                ""
                if pure.lack_of_fit_p is None
                else f"Lack of fit: p {p_value(pure.lack_of_fit_p, '=')}."
            )
        )
    if judgement is not None:
        said.append(
            f"On {judgement.runs} held-out runs, the root mean square error is "
            f"{judgement.rmse:.2f} points, and {100 * judgement.coverage:.0f}% of the scores are "
            "inside their 95% intervals."
        )
    if experiment.confirmations:
        said.append(confirmation(experiment.confirmations))
    return [sentence.strip() for sentence in said]


def confirmation(found: Sequence[Confirmation]) -> str:
    """Summarize the comparison with confirmation runs."""
    result = confirmed(found)
    said = []
    if result.mean is not None:
        side = "below" if result.mean < 0 else "above"
        share = f"{100 * result.inside / result.runs:.0f}%"
        said.append(
            f"Of {counted(result.runs, 'confirmation run')}, none of them fitted, {result.inside} "
            f"({share}) are inside their 95% intervals. On average the scores are "
            f"{abs(result.mean):.2f} points {side} the predictions, with a root mean square error "
            f"of {result.rmse:.2f} points."
        )
    if result.beyond:
        verbs = ("is", "has") if result.beyond == 1 else ("are", "have")
        noun = "more confirmation run" if result.runs else "confirmation run"
        said.append(
            f"{counted(result.beyond, noun)} {verbs[0]} beyond the trained range and {verbs[1]} no "
            "prediction."
        )
    return " ".join(said)


def _unlearned(experiment: Experiment) -> str:
    """List the runs that did not learn, and the levels that they share."""
    runs = experiment.unlearned
    levels = [dict(run.point.levels) for run in runs]
    shared = [
        factor.level(levels[0][factor.name]).title
        for factor in experiment.design.space.factors
        if len({one[factor.name] for one in levels}) == 1
    ]
    common = f" They share: {', '.join(shared)}." if len(runs) > 1 and shared else ""
    verb = "is" if len(runs) == 1 else "are"
    return (
        f"{counted(len(runs), 'run')} did not learn (below three times chance accuracy) and "
        f"{verb} left out: {', '.join(run.point.key for run in runs)}.{common}"
    )


def timing(speed: Speed, epochs: float) -> str:
    """Describe what an estimated training time is for."""
    return (
        f"Minutes are for {epochs:g} epochs of {speed.images:,} images on {speed.machine}, "
        f"{speed.precision}, without validation; estimated from {speed.runs} runs, typically off "
        f"by {100 * speed.error:.0f}%."
    )


def summary(worth: Sequence[Worth], data: str) -> str:
    """Summarize one view in a sentence."""
    found = [w for w in worth if w.verdict in (GAIN, LOSS)]
    if not found:
        return f"On {data}, no change is significant."
    gains = [w for w in found if w.verdict == GAIN]
    losses = [w for w in found if w.verdict == LOSS]
    parts = []
    if gains:
        parts.append(f"{_listed(gains)} {'gains' if len(gains) == 1 else 'gain'}")
    if losses:
        parts.append(f"{_listed(losses)} {'costs' if len(losses) == 1 else 'cost'} accuracy")
    undecided = sum(w.verdict == INCONCLUSIVE for w in worth)
    verb = "is" if undecided == 1 else "are"
    rest = f"; {undecided} of {len(worth)} {verb} inconclusive" if undecided else ""
    return f"On {data}, {', and '.join(parts)}{rest}."


def interaction(found: Interaction) -> str:
    """Describe an interaction in a sentence."""
    return (
        f"{found.first.title}: across the range of {found.second.title}, the effect changes by "
        f"{with_interval(found.effect)}."
    )


def conditions(
    effects: Effects, levels: Levels | None = None, leave_out: Collection[str] = ()
) -> str:
    """Describe how networks are trained, without the factors in ``leave_out``.

    The settings are those of the combination ``levels`` [default: of the compared networks].
    """
    space, levels = effects.space, levels or effects.start
    said = []
    for factor in space.factors:
        if factor.kind == "change" or factor.name in leave_out:
            continue
        if factor.name in effects.quantities:
            value = f"{effects.quantities[factor.name]:g}"
            epochs = factor.name == "epochs"
            said.append(f"{value} epochs" if epochs else f"{factor.title.lower()} {value}")
        else:
            title = factor.level(levels[factor.name]).title
            said.append(title if title.startswith("PyTorch") else title[0].lower() + title[1:])
    return ", ".join(said)


def conditions_of_one(
    effects: Effects, levels: Levels, best_rate: float | None, leave_out: Collection[str] = ()
) -> str:
    """Describe how one predicted network is trained, without the factors in ``leave_out``.

    ``best_rate`` is None if it is predicted at the learning rate of ``effects``.
    """
    if best_rate is None:
        return conditions(effects, levels, leave_out)
    rate = f"at its best learning rate, {best_rate:.2g}, within the range trained; "
    return rate + conditions(effects, levels, {"lr", *leave_out})


def _listed(found: Sequence[Worth]) -> str:
    effects = [(w.change.title, w.effect.points) for w in found if w.effect is not None]
    ordered = sorted(effects, key=lambda one: -abs(one[1]))
    words = [f"{title} ({signed(points, 2)})" for title, points in ordered]
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"
