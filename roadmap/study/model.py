"""What is fitted to a design's runs: a linear model of its terms, with its intervals.

Linear on the scale of log-odds, so that no prediction leaves 0 to 100% and that a network near
either end has less to gain; effects are told in points of top-1. Ordinary least squares
(statsmodels), the errors pooled over all runs; intervals of points by the delta method. The model
can be written to a file before the held-out runs are scored, and is then judged by them.
"""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from scipy import stats

from roadmap.files import write_json
from roadmap.runs import PointRun
from roadmap.study.design import Design, Point
from roadmap.study.space import Levels, StudyError
from roadmap.study.terms import CROSSED, Terms

SCHEMA = 1
CONFIDENCE = 0.95
#: Runs beyond the number of terms, without which no interval is worth its name.
LEAST_DEGREES = 10
FITTED_ROLES = ("fit", "replicate")
#: A run that scores less than this many times what guessing would has not learned: no sum of
#: effects says by how much.
LEARNED = 3.0


#: Of the scale: one unit is a point of top-1 at 50%.
UNIT = 25.0


class Effect(NamedTuple):
    """A difference in points of top-1 with its 95% interval; ``p`` is that of no difference."""

    points: float
    low: float
    high: float
    p: float


class Prediction(NamedTuple):
    """Top-1 in percent of one run, with the 95% interval that it falls into."""

    top1: float
    low: float
    high: float


class Judgement(NamedTuple):
    """The model against the held-out runs: root mean square error in points, the share of their
    scores inside the 95% prediction intervals, and the standard deviation that seeds alone have
    (None without replicates)."""

    runs: int
    rmse: float
    coverage: float
    seeds_std: float | None


class PureError(NamedTuple):
    """What runs of one point differ by: their standard deviation, its degrees of freedom, and the
    p value of the model's errors being no more than that."""

    std: float
    degrees: int
    lack_of_fit_p: float | None


@dataclass(frozen=True, eq=False)
class Model:
    """A fitted model of the runs of ``design`` on ``data``.

    ``coefficients``, their ``covariance`` and ``std``, the standard deviation of a run about the
    model with its ``degrees`` of freedom, are on the scale of ``log_odds``; ``points_std`` is the
    same deviation in points of top-1.
    """

    design: Design
    data: str
    interactions: tuple[tuple[str, str], ...]
    coefficients: np.ndarray
    covariance: np.ndarray
    std: float
    degrees: int
    points_std: float
    runs: int
    pure_error: PureError | None = None
    squares: bool = True
    #: Keys of the points whose runs did not learn; the model is fitted to the others.
    unlearned: tuple[str, ...] = ()

    @cached_property
    def terms(self) -> Terms:
        return Terms(self.design.space, self.interactions, squares=self.squares)

    @property
    def whole(self) -> bool:
        """Whether all terms of the design could be fitted."""
        return self.squares and self.interactions == self.design.interactions

    @property
    def _quantile(self) -> float:
        return float(stats.t.ppf((1 + CONFIDENCE) / 2, self.degrees))

    def effect(self, rows: np.ndarray, weights: np.ndarray) -> Effect:
        """Of the sum of the predictions of ``rows`` (combinations, terms) times ``weights``."""
        top1 = percent(rows @ self.coefficients)
        slopes = top1 * (100 - top1) / (100 * UNIT)
        gradient = (weights * slopes) @ rows
        points = float(weights @ top1)
        error = math.sqrt(max(float(gradient @ self.covariance @ gradient), 0.0))
        half = self._quantile * error
        p = float(2 * stats.t.sf(abs(points) / error, self.degrees)) if error else 1.0
        return Effect(points, points - half, points + half, p)

    def predict(self, rows: np.ndarray) -> list[Prediction]:
        """Of rows of terms, (combinations, terms)."""
        return [Prediction(*map(float, one)) for one in zip(*self.bands(rows), strict=True)]

    def bands(self, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Top-1 in percent, and the ends of its 95% prediction intervals."""
        odds = rows @ self.coefficients
        half = self._quantile * np.sqrt(((rows @ self.covariance) * rows).sum(1) + self.std**2)
        return percent(odds), percent(odds - half), percent(odds + half)

    def save(self, path: Path) -> None:
        """Write the fitted numbers. Raises ``OSError``."""
        content = {
            "schema": SCHEMA,
            "design": self.design.name,
            "data": self.data,
            "runs": self.runs,
            "std": self.std,
            "points_std": self.points_std,
            "degrees": self.degrees,
            "unlearned": list(self.unlearned),
            "pure_error": self.pure_error and self.pure_error._asdict(),
            "squares": self.squares,
            "interactions": [list(pair) for pair in self.interactions],
            "coefficients": dict(
                zip(self.terms.names, (float(c) for c in self.coefficients), strict=True)
            ),
            "covariance": self.covariance.tolist(),
        }
        write_json(path, content)


def fit(design: Design, runs: Sequence[PointRun]) -> Model:
    """The model of the finished runs among ``runs`` that are points of ``design`` to fit.

    Interactions, then squares are left out while runs are too few for them. Raises
    ``StudyError`` where even the factors by themselves are too many.
    """
    pairs = [(p, r) for p, r in finished(design, runs) if p.role in FITTED_ROLES]
    if not pairs:
        raise StudyError(f"no run of the design {design.name} is finished")
    fitted = [(point, run) for point, run in pairs if learned(run)]
    unlearned = tuple(point.key for point, run in pairs if not learned(run))
    scores = np.array([log_odds(run.top1, run.val_images) for _, run in fitted])
    for terms in _from_rich_to_poor(design):
        matrix = terms.of([point.levels for point, _ in fitted])
        enough = len(fitted) >= len(terms.names) + LEAST_DEGREES
        if enough and np.linalg.matrix_rank(matrix) == len(terms.names):
            return replace(_fitted(design, fitted, terms, matrix, scores), unlearned=unlearned)
    needed = len(terms.names) + LEAST_DEGREES
    raise StudyError(
        f"{len(fitted)} runs of the design {design.name} are finished and learned; at least "
        f"{needed} are "
        "needed to tell its factors apart. Run the same sweep again to train the others"
    )


def log_odds(top1: float, images: int) -> float:
    """Of a top-1 in percent of ``images``, in ``UNIT``; half an image keeps 0 and 100% finite."""
    right = top1 / 100 * images + 0.5
    return UNIT * math.log(right / (images + 1 - right))


def percent(odds: np.ndarray) -> np.ndarray:
    """Top-1 in percent of log-odds in ``UNIT``."""
    return 100 / (1 + np.exp(-odds / UNIT))


def learned(run: PointRun) -> bool:
    """Whether a finished run scores clearly more than guessing."""
    return run.top1 > min(LEARNED * 100 / run.classes, 50.0)


def finished(design: Design, runs: Sequence[PointRun]) -> list[tuple[Point, PointRun]]:
    """The points of ``design`` with their finished runs, in its order.

    Runs that are not of their point, or of other data than most, are left out (``foreign``).
    """
    found = dict(_matched(design, runs))
    return [(point, found[point.key]) for point in design.points if point.key in found]


def foreign(design: Design, runs: Sequence[PointRun]) -> list[PointRun]:
    """Finished runs that have the design's name and are not what it says, or are of other data."""
    own = {run.path for _, run in _matched(design, runs)}
    return [run for run in _of_design(design, runs) if run.path not in own]


def _of_design(design: Design, runs: Sequence[PointRun]) -> list[PointRun]:
    return [run for run in runs if run.point.design == design.name and run.finished]


def _matched(design: Design, runs: Sequence[PointRun]) -> list[tuple[str, PointRun]]:
    """The runs that are what the design says of their key, of the data that most are of."""
    points = {point.key: (dict(point.levels), point.seed) for point in design.points}
    fitting = [
        (run.point.key, run)
        for run in _of_design(design, runs)
        if points.get(run.point.key) == (dict(run.point.levels), run.seed)
    ]
    counts = Counter((run.data, run.data_sha256) for _, run in fitting)
    usual = counts.most_common(1)[0][0] if counts else None
    return [(key, run) for key, run in fitting if (run.data, run.data_sha256) == usual]


def judge(model: Model, runs: Sequence[PointRun], role: str = "held_out") -> Judgement | None:
    """``model`` against the finished runs of points that it was not fitted to, but for those that
    did not learn; None without any."""
    kept = [(p, r) for p, r in finished(model.design, runs) if p.role == role and learned(r)]
    if not kept:
        return None
    scores = np.array([run.top1 for _, run in kept])
    means, lows, highs = model.bands(model.terms.of([point.levels for point, _ in kept]))
    errors = scores - means
    return Judgement(
        runs=len(kept),
        rmse=float(np.sqrt(np.mean(errors**2))),
        coverage=float(np.mean((lows <= scores) & (scores <= highs))),
        seeds_std=model.pure_error.std if model.pure_error else None,
    )


def read_model(path: Path, design: Design) -> Model:
    """The model of ``design`` in a file. Raises ``StudyError`` for anything else."""
    try:
        found = json.loads(path.read_bytes())
        return _model(found, design)
    except OSError as error:
        raise StudyError(f"{path} cannot be read: {error.strerror}") from None
    except StudyError as error:
        raise StudyError(f"{path} is not a usable model: {error}") from None
    except (KeyError, TypeError, ValueError, AttributeError, RecursionError):
        raise StudyError(f"{path} is not a usable model: it is damaged") from None


def _from_rich_to_poor(design: Design) -> list[Terms]:
    """With all interactions; with those of rate and length alone; with none; without squares."""
    some = tuple(pair for pair in design.interactions if set(pair) & set(CROSSED[:2]))
    rich = [Terms(design.space, pairs) for pairs in (design.interactions, some, ())]
    return [*rich, Terms(design.space, (), squares=False)]


def _fitted(
    design: Design,
    fitted: Sequence[tuple[Point, PointRun]],
    terms: Terms,
    matrix: np.ndarray,
    scores: np.ndarray,
) -> Model:
    from statsmodels.regression.linear_model import OLS

    found = OLS(scores, matrix).fit()
    degrees = int(found.df_resid)
    return Model(
        design=design,
        data=fitted[0][1].data,
        interactions=terms.interactions,
        squares=terms.squares,
        coefficients=np.asarray(found.params),
        covariance=np.asarray(found.cov_params()),
        std=math.sqrt(found.mse_resid),
        degrees=degrees,
        points_std=_points_std(fitted, matrix @ found.params, degrees),
        runs=len(fitted),
        pure_error=_pure_error(fitted, scores, float(found.ssr), degrees),
    )


def _points_std(fitted: Sequence[tuple[Point, PointRun]], odds: np.ndarray, degrees: int) -> float:
    errors = np.array([run.top1 for _, run in fitted]) - percent(odds)
    return math.sqrt(float(errors @ errors) / degrees)


def _pure_error(
    fitted: Sequence[tuple[Point, PointRun]], scores: np.ndarray, left: float, degrees: int
) -> PureError | None:
    """Of the points that were trained more than once; ``left``: the model's sum of squares."""
    groups: dict[tuple[tuple[str, str], ...], list[int]] = {}
    for place, (point, _) in enumerate(fitted):
        groups.setdefault(tuple(sorted(point.levels.items())), []).append(place)
    repeated = [group for group in groups.values() if len(group) > 1]
    pure_degrees = sum(len(group) - 1 for group in repeated)
    if not pure_degrees:
        return None
    top1 = np.array([run.top1 for _, run in fitted])
    pure, points = (
        float(sum(((values[group] - values[group].mean()) ** 2).sum() for group in repeated))
        for values in (scores, top1)
    )
    other = degrees - pure_degrees
    p = None
    if other > 0 and pure > 0:
        ratio = ((left - pure) / other) / (pure / pure_degrees)
        p = float(stats.f.sf(ratio, other, pure_degrees))
    return PureError(math.sqrt(points / pure_degrees), pure_degrees, p)


def _model(found: dict[str, Any], design: Design) -> Model:
    if found["schema"] != SCHEMA or found["design"] != design.name:
        raise StudyError(f"it is not of the design {design.name}, or of another version")
    model = Model(
        design=design,
        data=str(found["data"]),
        interactions=tuple((first, second) for first, second in found["interactions"]),
        squares=bool(found["squares"]),
        unlearned=tuple(map(str, found["unlearned"])),
        coefficients=np.array(list(found["coefficients"].values()), dtype=float),
        covariance=np.array(found["covariance"], dtype=float),
        std=float(found["std"]),
        points_std=float(found["points_std"]),
        degrees=int(found["degrees"]),
        runs=int(found["runs"]),
        pure_error=PureError(**found["pure_error"]) if found["pure_error"] else None,
    )
    if tuple(found["coefficients"]) != model.terms.names:
        raise StudyError("its terms are not those of the design")
    shape = (len(model.coefficients),) * 2
    numbers = (*model.coefficients, *model.covariance.flat, model.std, model.points_std)
    if model.covariance.shape != shape or not np.isfinite(numbers).all() or model.degrees < 1:
        raise StudyError("its numbers are not those of a fit")
    return model


def combination_row(model: Model, levels: Levels, **quantities: float) -> np.ndarray:
    """The terms of one combination, (terms,); ``quantities`` (``lr``, ``epochs``) need not be
    those of a level. Raises ``StudyError`` outside of what was trained."""
    coded = model.terms.coded([levels])
    for name, value in quantities.items():
        factor = model.design.space.factor(name)
        code = factor.coded_value(value)
        if not -1 - 1e-9 <= code <= 1 + 1e-9:
            low, high = min(factor.values), max(factor.values)
            raise StudyError(f"{name} is {value:g}; what was trained goes from {low:g} to {high:g}")
        coded[0, model.terms.place(name)] = code
    return model.terms.matrix(coded)[0]
