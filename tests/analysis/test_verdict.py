"""Verdicts are reached in one place, by runs of a path as by a designed experiment."""

import re
from pathlib import Path

import pytest

from roadmap.analysis.verdict import ALPHA, GAIN, INCONCLUSIVE, LOSS, verdict

PACKAGE = Path(__file__).parents[2] / "roadmap"


@pytest.mark.parametrize(
    ("points", "p", "found"),
    [
        (1.0, ALPHA, GAIN),
        (-1.0, ALPHA, LOSS),
        (1.0, ALPHA + 1e-9, INCONCLUSIVE),
        (-9.0, 1.0, INCONCLUSIVE),
        (0.0, 0.0, LOSS),  # no gain
    ],
)
def test_a_verdict_follows_from_sign_and_p(points, p, found):
    assert verdict(points, p) == found


def test_no_other_module_has_words_or_a_level_of_its_own():
    own = r'"(gain|inconclusive|untested|impossible)"|\bALPHA\b.* = |> 0\.05|<=? 0\.05\b'
    found = [
        path.relative_to(PACKAGE).as_posix()
        for path in sorted(PACKAGE.rglob("*.py"))
        if re.search(own, path.read_text(encoding="utf-8"))
    ]
    assert found == ["analysis/verdict.py"]
