"""Compares forms of a study's model by cross-validation on its fitted runs.

python benchmarks/study_models.py     # writes results/measured/study_models.csv

Runs that repeat a combination stay in one fold. Held-out runs are not used.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from pathlib import Path
from unittest.mock import patch

import numpy as np
import pandas as pd
from statsmodels.genmod.families import Binomial
from statsmodels.genmod.generalized_linear_model import GLM

from roadmap.runs import PointRun, read_runs
from roadmap.study.design import DESIGNS, Design, read_design
from roadmap.study.experiment import FITTED_ROLES, finished, learned, of_data
from roadmap.study.model import all_terms, fit
from roadmap.study.terms import Terms

STUDIES = {"digits": "digits", "small_data": "tiny-imagenet-100"}
FOLDS, SHUFFLES = 16, 5
#: What the variance of a score depends on in forms of the model; None: as in the model.
VARIANCES = {"shrunk_equal_variance": {}, "shrunk_by_length": {"epochs": 1.0}, "shrunk": None}
OUTPUT = Path(__file__).parents[1] / "results" / "measured" / "study_models.csv"

#: Fits top-1 (runs,), in percent, to terms (runs, terms), and predicts other terms.
Form = Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray]


def points(terms: np.ndarray, top1: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Linear in points, equal variance."""
    return others @ np.linalg.lstsq(terms, top1, rcond=None)[0]


def log_odds(terms: np.ndarray, top1: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Linear in log-odds, equal variance there; scores of 0 and 100% are moved by 0.01 points."""
    share = np.clip(top1, 0.01, 99.99) / 100
    odds = others @ np.linalg.lstsq(terms, np.log(share / (1 - share)), rcond=None)[0]
    return 100 / (1 + np.exp(-odds))


def quasi_binomial(terms: np.ndarray, top1: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Linear in log-odds, variance proportional to top1 × (100 − top1)."""
    return 100 * GLM(top1 / 100, terms, Binomial()).fit().predict(others)


def folds(groups: np.ndarray) -> Iterator[np.ndarray]:
    """Yield which runs are left out, for every fold of every shuffle."""
    for seed in range(SHUFFLES):
        fold = np.random.default_rng(seed).permutation(groups.max() + 1)[groups] % FOLDS
        yield from (fold == number for number in range(FOLDS))


def compare(design: Design, data: str) -> list[dict[str, object]]:
    """Return one row per form and set of terms."""
    kept = [
        (point, run)
        for point, run in finished(design, of_data(read_runs().points, data))
        if point.role in FITTED_ROLES and learned(run)
    ]
    levels = [point.levels for point, _ in kept]
    runs = [run for _, run in kept]
    top1 = np.array([run.top1 for run in runs])
    names = [tuple(sorted(one.items())) for one in levels]
    groups = np.array([sorted(set(names)).index(name) for name in names])
    facts = {"design": design.name, "data": data, "runs": len(kept)}
    rows: list[dict[str, object]] = []
    for key, pairs in {"factors": (), "design": design.interactions}.items():
        terms = Terms(design.space, pairs)
        matrix = terms.of(levels)
        for form in (points, log_odds, quasi_binomial):
            errors = [
                form(matrix[~out], top1[~out], matrix[out]) - top1[out] for out in folds(groups)
            ]
            about = {"terms": key, "columns": len(terms.names), "form": form.__name__}
            rows.append(facts | about | {"rmse": _rmse(errors)})
    matrix = all_terms(design).of(levels)
    for form, haste in VARIANCES.items():
        about = {"terms": "every pair", "columns": matrix.shape[1], "form": form}
        with nullcontext() if haste is None else patch.object(Terms, "haste", haste):
            rows.append(facts | about | _of_the_model(design, runs, matrix, top1, groups))
    return rows


def _of_the_model(
    design: Design,
    runs: Sequence[PointRun],
    matrix: np.ndarray,
    top1: np.ndarray,
    groups: np.ndarray,
) -> dict[str, object]:
    """Return the error of the model that ``effects`` fits, and coverage and width of intervals."""
    errors, inside, widths = [], [], []
    for out in folds(groups):
        model = fit(design, [run for run, left_out in zip(runs, out, strict=True) if not left_out])
        found, low, high = model.bands(matrix[out])
        errors.append(found - top1[out])
        inside.append((low <= top1[out]) & (top1[out] <= high))
        widths.append(high - low)
    return {
        "rmse": _rmse(errors),
        "coverage": round(float(np.concatenate(inside).mean()), 3),
        "width": round(float(np.concatenate(widths).mean()), 1),
    }


def _rmse(errors: Sequence[np.ndarray]) -> float:
    return round(float(np.sqrt(np.mean(np.concatenate(errors) ** 2))), 2)


def main() -> None:
    rows = [
        row
        for name, data in STUDIES.items()
        for row in compare(read_design(DESIGNS / f"{name}.json"), data)
    ]
    table = pd.DataFrame(rows)
    table.to_csv(OUTPUT, index=False)
    print(table.to_string(index=False))


if __name__ == "__main__":
    main()
