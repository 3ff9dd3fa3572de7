"""The model fitted to the runs of a design, with intervals.

The log-odds of top-1 are a linear function of the factors, the squares of the quantitative ones and
the products of any two, so that predictions stay between 0 and 100% and changes are smaller near
either end; effects are reported in points of top-1. Since these are more terms than the runs can
tell apart, each group of them is shrunk by as much as the runs say (``roadmap.study.shrinkage``).
Intervals in points use the delta method. The model can be saved before the held-out runs are
scored, and tested on them.
"""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, fields
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from scipy import stats

from roadmap.files import write_json
from roadmap.runs import PointRun
from roadmap.study.design import Design, Point
from roadmap.study.shrinkage import UNIT, Fit, Shrunk, percent, shrink, variance
from roadmap.study.space import Levels, StudyError
from roadmap.study.terms import Terms, every_pair

SCHEMA = 4
#: In its models, the variance depends on the length of training only.
BY_LENGTH = 3
CONFIDENCE = 0.95
#: Fewest runs more than factors, for useful intervals and predictions.
LEAST_DEGREES = 10
FITTED_ROLES = ("fit", "replicate")
#: A run that scores less than this multiple of chance accuracy has not learned. Such scores are
#: not a sum of effects.
LEARNED = 3.0


class Effect(NamedTuple):
    """A difference in points of top-1 with its 95% interval; ``p`` tests whether it is zero."""

    points: float
    low: float
    high: float
    p: float


class Prediction(NamedTuple):
    """The predicted top-1 of one run, in percent, with its 95% prediction interval."""

    top1: float
    low: float
    high: float


class Judgement(NamedTuple):
    """The test of a model on held-out runs.

    ``rmse`` is the root mean square error in points, ``coverage`` the share of scores inside their
    95% prediction intervals, from 0 to 1.
    """

    runs: int
    rmse: float
    coverage: float


class PureError(NamedTuple):
    """The variation between runs of the same combination.

    ``std`` is the standard deviation in points, ``degrees`` its degrees of freedom, and
    ``lack_of_fit_p`` the p value of the lack-of-fit test (None if it cannot be computed).
    """

    std: float
    degrees: int
    lack_of_fit_p: float | None


@dataclass(frozen=True, eq=False, kw_only=True)
class Model(Fit):
    """The fit of ``all_terms`` to the runs of ``design`` on ``data``.

    ``haste`` has the weights of the coded settings that the variance of a score depends on.
    ``points_std`` is the residual standard deviation in points of top-1, and ``runs`` the number of
    fitted runs.
    """

    design: Design
    data: str
    points_std: float
    runs: int
    haste: dict[str, float]
    pure_error: PureError | None = None
    #: Keys of the points whose runs did not learn and are excluded from the fit.
    unlearned: tuple[str, ...] = ()

    @cached_property
    def terms(self) -> Terms:
        return all_terms(self.design)

    @property
    def _quantile(self) -> float:
        return float(stats.t.ppf((1 + CONFIDENCE) / 2, self.degrees))

    def effect(self, rows: np.ndarray, weights: np.ndarray) -> Effect:
        """Return the weighted sum of the predictions for ``rows``.

        ``rows`` is (combinations, terms), ``weights`` (combinations,).
        """
        top1 = percent(rows @ self.coefficients)
        slopes = top1 * (100 - top1) / (100 * UNIT)
        gradient = (weights * slopes) @ rows
        points = float(weights @ top1)
        error = math.sqrt(max(float(gradient @ self.covariance @ gradient), 0.0))
        half = self._quantile * error
        p = float(2 * stats.t.sf(abs(points) / error, self.degrees)) if error else 1.0
        return Effect(points, points - half, points + half, p)

    def predict(self, rows: np.ndarray) -> list[Prediction]:
        """Predict top-1 for ``rows`` of terms, (combinations, terms)."""
        return [Prediction(*map(float, one)) for one in zip(*self.bands(rows), strict=True)]

    def bands(self, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Predict top-1 and the ends of its 95% interval, in percent, each (combinations,)."""
        odds = rows @ self.coefficients
        top1 = percent(odds)
        spread = self.dispersion * np.exp(self.trend * self.terms.weighted(rows, self.haste))
        of_a_run = spread * (100 * UNIT) ** 2 / variance(top1)
        half = self._quantile * np.sqrt(((rows @ self.covariance) * rows).sum(1) + of_a_run)
        return top1, percent(odds - half), percent(odds + half)

    def run_std(self, **settings: float) -> float:
        """Return the standard deviation of one run in points, at a top-1 of 50%.

        ``settings`` (``epochs``, ``lr``) that do not vary over a range are in the middle.
        """
        codes = {
            name: self.design.space.factor(name).coded_value(settings[name])
            if name in settings
            else 0
            for name in self.haste
        }
        haste = sum(weight * codes[name] for name, weight in self.haste.items())
        return math.sqrt(self.dispersion * math.exp(self.trend * haste) * 50 * 50)

    def save(self, path: Path) -> None:
        """Write the fitted numbers to a JSON file. Raises ``OSError``."""
        content = {
            "schema": SCHEMA,
            "design": self.design.name,
            "data": self.data,
            "runs": self.runs,
            "dispersion": self.dispersion,
            "trend": self.trend,
            "haste": self.haste,
            "points_std": self.points_std,
            "degrees": self.degrees,
            "unlearned": list(self.unlearned),
            "pure_error": self.pure_error and self.pure_error._asdict(),
            "group_std": self.group_std,
            "coefficients": dict(
                zip(self.terms.names, (float(c) for c in self.coefficients), strict=True)
            ),
            # Six digits keep the file small; intervals need no more.
            "covariance": [[float(f"{c:.6g}") for c in row] for row in self.covariance],
        }
        write_json(path, content)


def fit(design: Design, runs: Sequence[PointRun]) -> Model:
    """Fit a model to the finished runs of ``design`` with role ``fit`` or ``replicate``.

    Raises ``StudyError`` if the runs are too few.
    """
    pairs = [(p, r) for p, r in finished(design, runs) if p.role in FITTED_ROLES]
    if not pairs:
        raise StudyError(f"no run of the design {design.name} has finished")
    fitted = [(point, run) for point, run in pairs if learned(run)]
    needed = len(design.space.factors) + LEAST_DEGREES
    if len(fitted) < needed:
        raise StudyError(
            f"only {len(fitted)} runs of the design {design.name} have finished and learned; at "
            f"least {needed} are needed. Run the same sweep again to train the others"
        )
    return _fitted(design, fitted, tuple(p.key for p, run in pairs if not learned(run)))


def all_terms(design: Design) -> Terms:
    """Return the terms of the model: factors, squares, and the product of any two factors."""
    return Terms(design.space, every_pair(design.space))


def learned(run: PointRun) -> bool:
    """Return whether a finished run scores clearly better than chance (see ``LEARNED``)."""
    return run.top1 > min(LEARNED * 100 / run.classes, 50.0)


def finished(design: Design, runs: Sequence[PointRun]) -> list[tuple[Point, PointRun]]:
    """Return the points of ``design`` that have a finished run, in order, with the run.

    Excludes runs that do not match their point or that use other data than most (``foreign``).
    """
    found = dict(_matched(design, runs))
    return [(point, found[point.key]) for point in design.points if point.key in found]


def foreign(design: Design, runs: Sequence[PointRun]) -> list[PointRun]:
    """Return the finished runs that name the design but do not match it or use other data."""
    own = {run.path for _, run in _matched(design, runs)}
    return [run for run in _of_design(design, runs) if run.path not in own]


def _of_design(design: Design, runs: Sequence[PointRun]) -> list[PointRun]:
    return [run for run in runs if run.point.design == design.name and run.finished]


def _matched(design: Design, runs: Sequence[PointRun]) -> list[tuple[str, PointRun]]:
    """Return the runs that match their point and use the same data as most, with their keys."""
    points = {point.key: (dict(point.levels), point.seed) for point in design.points}
    fitting = [
        (run.point.key, run)
        for run in _of_design(design, runs)
        if points.get(run.point.key) == (dict(run.point.levels), run.seed)
    ]
    counts = Counter((run.data, run.data_sha256) for _, run in fitting)
    usual = counts.most_common(1)[0][0] if counts else None
    return [(key, run) for key, run in fitting if (run.data, run.data_sha256) == usual]


def judge(model: Model, runs: Sequence[PointRun]) -> Judgement | None:
    """Test ``model`` on the finished held-out runs, except runs that did not learn.

    Returns None if there are none.
    """
    kept = [(p, r) for p, r in finished(model.design, runs) if p.role == "held_out" and learned(r)]
    if not kept:
        return None
    scores = np.array([run.top1 for _, run in kept])
    means, lows, highs = model.bands(model.terms.of([point.levels for point, _ in kept]))
    errors = scores - means
    return Judgement(
        runs=len(kept),
        rmse=float(np.sqrt(np.mean(errors**2))),
        coverage=float(np.mean((lows <= scores) & (scores <= highs))),
    )


def read_model(path: Path, design: Design) -> Model:
    """Read the model of ``design`` from a JSON file. Raises ``StudyError`` if it is invalid."""
    try:
        found = json.loads(path.read_bytes())
        return _model(found, design)
    except OSError as error:
        raise StudyError(f"{path} cannot be read: {error.strerror}") from None
    except StudyError as error:
        raise StudyError(f"{path} is not a usable model: {error}") from None
    except (KeyError, TypeError, ValueError, AttributeError, RecursionError):
        raise StudyError(f"{path} is not a usable model: it is damaged") from None


def _fitted(
    design: Design, fitted: Sequence[tuple[Point, PointRun]], unlearned: tuple[str, ...]
) -> Model:
    terms = all_terms(design)
    scores = np.array([run.top1 for _, run in fitted])
    rows = terms.of([point.levels for point, _ in fitted])
    haste = terms.weighted(rows, terms.haste)
    found = shrink(rows, scores, terms.groups, haste)
    noise = np.exp(found.trend * haste) * variance(found.top1)
    return Model(
        **{field.name: getattr(found, field.name) for field in fields(Fit)},
        design=design,
        data=fitted[0][1].data,
        points_std=math.sqrt(float(((scores - found.top1) ** 2).sum()) / found.degrees),
        runs=len(fitted),
        haste=terms.haste,
        pure_error=_pure_error(fitted, scores, found, noise),
        unlearned=unlearned,
    )


def _pure_error(
    fitted: Sequence[tuple[Point, PointRun]], scores: np.ndarray, found: Shrunk, noise: np.ndarray
) -> PureError | None:
    """Return the variation of repeated points.

    The lack-of-fit test compares it with the residuals of the fit, both relative to ``noise``, the
    variance of each score up to a factor.
    """
    groups: dict[tuple[tuple[str, str], ...], list[int]] = {}
    for place, (point, _) in enumerate(fitted):
        groups.setdefault(tuple(sorted(point.levels.items())), []).append(place)
    repeated = [group for group in groups.values() if len(group) > 1]
    pure_degrees = sum(len(group) - 1 for group in repeated)
    if not pure_degrees:
        return None
    weights = 1 / noise
    pure, points = (
        sum(float(w[group] @ (scores[group] - scores[group].mean()) ** 2) for group in repeated)
        for w in (weights, np.ones_like(weights))
    )
    other = found.degrees - pure_degrees
    p = None
    if other > 0 and pure > 0:
        left = float(weights @ (scores - found.top1) ** 2) - pure
        p = float(stats.f.sf((left / other) / (pure / pure_degrees), other, pure_degrees))
    return PureError(math.sqrt(points / pure_degrees), pure_degrees, p)


def _model(found: dict[str, Any], design: Design) -> Model:
    if found["schema"] not in (SCHEMA, BY_LENGTH) or found["design"] != design.name:
        raise StudyError(f"it is for another design than {design.name}, or from another version")
    haste = {"epochs": 1.0} if found["schema"] == BY_LENGTH else found["haste"]
    if not set(haste) <= set(design.space.by_name):
        raise StudyError("its variance depends on factors that the design does not have")
    model = Model(
        design=design,
        data=str(found["data"]),
        unlearned=tuple(map(str, found["unlearned"])),
        coefficients=np.array(list(found["coefficients"].values()), dtype=float),
        covariance=np.array(found["covariance"], dtype=float),
        group_std={str(name): float(std) for name, std in found["group_std"].items()},
        dispersion=float(found["dispersion"]),
        trend=float(found["trend"]),
        haste={str(name): float(weight) for name, weight in haste.items()},
        points_std=float(found["points_std"]),
        degrees=int(found["degrees"]),
        runs=int(found["runs"]),
        pure_error=PureError(**found["pure_error"]) if found["pure_error"] else None,
    )
    if tuple(found["coefficients"]) != model.terms.names:
        raise StudyError("its terms differ from those of the design")
    shape = (len(model.coefficients),) * 2
    spread = (
        model.dispersion,
        model.trend,
        *model.haste.values(),
        model.points_std,
        *model.group_std.values(),
    )
    numbers = (*model.coefficients, *model.covariance.flat, *spread)
    if model.covariance.shape != shape or not np.isfinite(numbers).all() or model.degrees < 1:
        raise StudyError("its numbers are not the result of a fit")
    return model


def combination_row(model: Model, levels: Levels, **quantities: float) -> np.ndarray:
    """Return the terms of one combination, (terms,).

    ``quantities`` (``lr``, ``epochs``) replace its levels and may lie between the trained values.
    Raises ``StudyError`` for a value outside their range.
    """
    coded = model.terms.coded([levels])
    for name, value in quantities.items():
        factor = model.design.space.factor(name)
        code = factor.coded_value(value)
        if not -1 - 1e-9 <= code <= 1 + 1e-9:
            low, high = min(factor.values), max(factor.values)
            raise StudyError(f"{name} is {value:g}; the trained range is {low:g} to {high:g}")
        coded[0, model.terms.place(name)] = code
    return model.terms.matrix(coded)[0]
