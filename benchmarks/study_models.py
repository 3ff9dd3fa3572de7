"""Compares forms of a study's model by cross-validation on its fitted runs.

python benchmarks/study_models.py     # writes results/measured/study_models.csv

Runs that repeat a combination stay in one fold. Held-out runs are not used.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
from statsmodels.genmod.families import Binomial
from statsmodels.genmod.generalized_linear_model import GLM

from roadmap.runs import read_runs
from roadmap.study.design import DESIGNS, Design, read_design
from roadmap.study.experiment import FITTED_ROLES, finished, learned, of_data
from roadmap.study.terms import Terms

STUDIES = {"digits": "digits", "small_data": "tiny-imagenet-100"}
FOLDS, SHUFFLES = 16, 5
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


def errors(form: Form, terms: np.ndarray, top1: np.ndarray, groups: np.ndarray) -> float:
    """Return the root mean square error of left-out runs, in points."""
    squares = []
    for seed in range(SHUFFLES):
        fold = np.random.default_rng(seed).permutation(groups.max() + 1)[groups] % FOLDS
        for left_out in (fold == number for number in range(FOLDS)):
            found = form(terms[~left_out], top1[~left_out], terms[left_out])
            squares.append((found - top1[left_out]) ** 2)
    return float(np.sqrt(np.mean(np.concatenate(squares))))


def compare(design: Design, data: str) -> list[dict[str, object]]:
    """Return one row per form and set of terms."""
    kept = [
        (point, run)
        for point, run in finished(design, of_data(read_runs().points, data))
        if point.role in FITTED_ROLES and learned(run)
    ]
    levels = [point.levels for point, _ in kept]
    top1 = np.array([run.top1 for _, run in kept])
    names = [tuple(sorted(one.items())) for one in levels]
    groups = np.array([sorted(set(names)).index(name) for name in names])
    sets = {"factors": (), "all": design.interactions}
    return [
        {
            "design": design.name,
            "data": data,
            "runs": len(kept),
            "terms": terms,
            "columns": len(found.names),
            "form": form.__name__,
            "rmse": round(errors(form, found.of(levels), top1, groups), 2),
        }
        for terms, found in ((key, Terms(design.space, pairs)) for key, pairs in sets.items())
        for form in (points, log_odds, quasi_binomial)
    ]


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
