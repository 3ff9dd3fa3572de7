"""What runs on a small data set can show of the steps, in figures of the committed runs."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache, lru_cache
from html import escape
from statistics import fmean
from urllib.parse import urlencode

from roadmap import visitors
from roadmap.runs import Run, read_run
from roadmap.steps import ROADMAPS
from roadmap.sweep.background import DIGITS
from roadmap.tables.results import RESULTS, step_rows
from roadmap.text import counted, data_title, number
from roadmap.views.common import markup

ROADMAP = "resnet50"
#: The committed experiment and its design, which docs/experiment.md describes.
EXPERIMENT, CONFIRMATION = "tiny-imagenet-100", "confirmation"
#: Training images from which a data set is not called small; the experiment has half as many.
LARGE = 100_000
SMALL = "A small data set cannot give ImageNet's order of the steps."


def caution(data: str, train_images: int | None, roadmap: str, *, offer_study: bool = True) -> str:
    """Return HTML to put above charts of the steps of ``roadmap`` trained on ``data``; empty
    if that is large or if the steps change only the recipe.

    ``train_images`` is None if unknown. With ``offer_study``, it links to training the study's
    steps.
    """
    if data == DIGITS:
        return markup.paragraph(digits_caution(), "aside text narrow")
    if not ROADMAPS[roadmap].changes_networks:
        return ""
    if train_images is not None and train_images >= LARGE:
        return ""
    more = f"{escape(order_found(data))} {_more(data, offer_study)}"
    return markup.folded(SMALL, more, "aside text narrow")


@cache
def digits_caution() -> str:
    """Say that the digits cannot rank the steps."""
    first, _, last = _steps()
    ours = [[run.top1 for run in _runs(DIGITS, f"{ROADMAP}-{key}")] for key in (first, last)]
    names = ROADMAPS[ROADMAP].networks
    here = [f"{name} {_percent(top1)}" for name, top1 in zip(names, ours, strict=True)]
    seeds = counted(min(map(len, ours)), "seed")
    there = [_percent([_published()[key]]) for key in (first, last)]
    return (
        f"Digits cannot rank the steps: {here[0]}, {here[1]} ({seeds} each). On ImageNet the "
        f"order is reversed: {there[0]} and {there[1]}. Use them only to try the page out."
    )


@lru_cache(maxsize=8)
def order_found(data: str) -> str:
    """Say in which order the experiment has the steps."""
    first, recipe, last = _steps()
    ends = [_by_epochs(_runs(EXPERIMENT, f"{CONFIRMATION}-{key}-*")) for key in (last, recipe)]
    longest = max(ends[0].keys() & ends[1].keys())
    here = [_percent(end[longest]) for end in ends]
    there = [_percent([_published()[key]]) for key in (last, recipe)]
    start, end = ROADMAPS[ROADMAP].networks
    if data == EXPERIMENT:
        lead, which = "After", "the modern recipe"
    else:  # whose chart does not show the gain
        lead, which = f"{_gain(first, recipe)}; after", "that recipe"
    return (
        f"{lead} {longest} epochs, {end} scores {here[0]}, {start} with {which} {here[1]}; on "
        f"ImageNet {there[0]} and {there[1]}."
    )


def _gain(first: str, recipe: str) -> str:
    """Say what the recipe gains in the experiment."""
    before, after = (_runs(EXPERIMENT, f"{ROADMAP}-{key}") for key in (first, recipe))
    points = fmean(run.top1 for run in after) - fmean(run.top1 for run in before)
    return (
        f"On {data_title(EXPERIMENT)} ({after[0].train_images:,} images), the modern training "
        f"recipe with light augmentation gains {number(points, 1)} points in "
        f"{after[0].recipe['epochs']} epochs"
    )


def _more(data: str, offer_study: bool) -> str:
    """Link to the runs behind the sentence, what explains them, and the study's steps to train."""
    links = [_link("effects", "why", data=EXPERIMENT, view="orders")]
    if data != EXPERIMENT:
        links.insert(0, _link("ablations", "every step there", data=EXPERIMENT, roadmap=ROADMAP))
    see = f"See {' and '.join(links)}"
    if visitors.is_public() or not offer_study:
        return f"{see}."
    own = _link("training", "train the study's steps", kind="study")
    return f"{see}, or {own}."


def _link(page: str, text: str, **parameters: str) -> str:
    return f'<a href="{page}?{escape(urlencode(parameters))}" target="_self">{escape(text)}</a>'


def _percent(top1: Iterable[float]) -> str:
    return f"{number(fmean(top1), 1)}%"


def _steps() -> tuple[str, str, str]:
    """Return the first step, the next one, which changes the recipe, and the last published one."""
    first, recipe, *_, last = (key for key in _published())
    return first, recipe, last


@cache
def _published() -> dict[str, float]:
    """Return the published top-1 of the adopted steps, in order."""
    found = {row["key"]: row["top1"] for row in step_rows(ROADMAP) if row["top1"] is not None}
    steps = ROADMAPS[ROADMAP].steps
    return {step.key: found[step.key] for step in steps if step.adopted and step.key in found}


def _runs(data: str, name: str) -> list[Run]:
    """Return the finished committed runs on ``data`` with every seed of ``name``."""
    folders = sorted((RESULTS / "runs" / data).glob(f"{name}-seed*"))
    runs = [read_run(folder) for folder in folders]
    return [run for run in runs if isinstance(run, Run) and run.finished]


def _by_epochs(runs: Iterable[Run]) -> dict[int, list[float]]:
    """Return top-1 of each seed by the number of epochs."""
    found: dict[int, list[float]] = {}
    for run in runs:
        found.setdefault(run.recipe["epochs"], []).append(run.top1)
    return found
