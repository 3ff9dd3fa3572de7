"""Verdicts on changes: a gain, a loss or inconclusive. Imports nothing else."""

from __future__ import annotations

#: Level of significance: the chance of even one false gain or loss among the tested changes.
ALPHA = 0.05
GAIN, LOSS, INCONCLUSIVE = "gain", "loss", "inconclusive"
#: The change was not tested, as with one seed only.
UNTESTED = "untested"
#: The change leads to no valid network.
IMPOSSIBLE = "impossible"


def verdict(points: float, p: float) -> str:
    """Return whether a change of ``points`` is a gain, a loss or inconclusive.

    ``p`` is that of its test, adjusted for the number of tested changes.
    """
    if p > ALPHA:
        return INCONCLUSIVE
    return GAIN if points > 0 else LOSS
