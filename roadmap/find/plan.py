"""Which candidates to measure for a question, in what order, and about how long it takes."""

from __future__ import annotations

import re
import statistics
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from roadmap.find.candidates import KNOWN, Candidate
from roadmap.find.question import Question
from roadmap.measure.networks import LIBRARIES

#: Untimed and timed runs of one measurement, by kind of device; small batches are timed more often.
WARM_UP, REPETITIONS, SMALL_BATCH, OF_SMALL = 5, {"cpu": 10, "mps": 20, "cuda": 30}, 8, 100
#: Seconds until a process has loaded its libraries and built the network, before a search has
#: measured it.
START_UP = {"cpu": 5.0, "mps": 6.0, "cuda": 10.0}
#: Least seconds per batch: a GPU waits for Python to start its kernels.
LEAST = {"cpu": 0.0, "mps": 0.01, "cuda": 0.008}
#: Factor up to which two counts of a network are the same: sources round and count differently.
SAME = 1.02
#: Key of all families together, and GFLOPs per second if no speed is published at all.
EVERY, UNKNOWN = "", 500.0
#: Cores of the processor of the published CPU speeds, which are of compiled networks; eager ones
#: take about 1.3 times as long.
PUBLISHED_CORES, EAGER = 10, 1.3
#: A measurement is stopped after ``FACTOR`` times the predicted seconds, within these limits.
FACTOR, SHORTEST, LONGEST = 5.0, 90.0, 600.0


@dataclass(frozen=True)
class Plan:
    """``first`` may answer the question, ``then`` may only extend the Pareto front; both in order.

    ``below`` is the number of networks with a lower top-1 than asked, ``beaten`` the number that
    another network of their family beats in accuracy and cost.
    """

    first: tuple[Candidate, ...]
    then: tuple[Candidate, ...]
    below: int
    beaten: int

    @property
    def order(self) -> tuple[Candidate, ...]:
        return self.first + self.then


def plan(
    question: Question, networks: Iterable[Candidate], rows: Iterable[Mapping[str, Any]]
) -> Plan:
    """Plan the measurements; ``rows`` are measured ones, from which speeds are predicted.

    A user's config comes first. Networks with a lower published top-1 than asked are never
    measured, and neither are those that another network of their family beats: at least their
    top-1, at most their GFLOPs, parameters and image size.
    """
    networks = list(networks)
    own = [each for each in networks if each.top1 is None]
    known = [each for each in networks if each.top1 is not None]
    enough = [each for each in known if (each.top1 or 0) >= question.top1]
    useful = [each for each in enough if not any(_beats(other, each) for other in enough)]
    useful.sort(key=Rates(question, networks, rows).seconds_per_image)
    first = [each for each in useful if not any(_smaller(other, each) for other in useful)]
    then = [each for each in useful if each not in first]
    below, beaten = len(known) - len(enough), len(enough) - len(useful)
    return Plan((*own, *first), tuple(then), below, beaten)


def _smaller(one: Candidate, other: Candidate) -> bool:
    """Whether ``one`` costs less than ``other`` of the same family in one count, more in none."""
    return _no_larger(one, other) and not _no_larger(other, one)


def _no_larger(one: Candidate, other: Candidate) -> bool:
    """Whether ``one`` of the same family costs at most as much as ``other`` in every count.

    Our networks run on other kernels than timm's and torchvision's, so they are families of their
    own.
    """
    families = [(each.family, each.source in LIBRARIES) for each in (one, other)]
    costs = [(each.gflops, each.params_m, each.image_size) for each in (one, other)]
    return families[0] == families[1] and all(a <= SAME * b for a, b in zip(*costs, strict=True))


def _beats(one: Candidate, other: Candidate) -> bool:
    if one == other or not _no_larger(one, other):
        return False
    if one.top1 != other.top1 or not _no_larger(other, one):
        return (one.top1 or 0) >= (other.top1 or 0)
    return (one.source, one.name) < (other.source, other.name)  # of two equal ones, one stays


class Rates:
    """Predicted speeds: published ones, or from GFLOPs, scaled to what was measured.

    ``start_up`` is the measured seconds until a process begins to run its network, if known.
    """

    def __init__(
        self,
        question: Question,
        networks: Sequence[Candidate],
        rows: Iterable[Mapping[str, Any]],
        start_up: float | None = None,
    ):
        self._question = question
        self._start_up = START_UP[question.device] if start_up is None else start_up
        self._column = KNOWN[question.device]
        products = defaultdict(list)
        for each in networks:
            if self._column in each.known:
                for family in (each.family, EVERY):
                    products[family].append(each.known[self._column] * each.gflops)
        #: GFLOPs per second by family, for networks without a published speed.
        self._gflops = {family: statistics.median(found) for family, found in products.items()}
        by_place = {each.place: each for each in networks}
        ratios = [
            float(row["images_per_s"]) / self._published(by_place[place])
            for row in rows
            if question.applies_to(row)
            and (place := (row["source"], row["name"], int(row["image_size"]))) in by_place
        ]
        self._scale = statistics.median(ratios) if ratios else self._unmeasured_scale()

    def _published(self, candidate: Candidate) -> float:
        speed = self._gflops.get(candidate.family) or self._gflops.get(EVERY, UNKNOWN)
        return candidate.known.get(self._column) or speed / candidate.gflops

    def _unmeasured_scale(self) -> float:
        if self._question.device != "cpu":
            return 1.0
        cores = re.search(r", (\d+) cores?$", self._question.device_name)
        return int(cores[1] if cores else 1) / PUBLISHED_CORES / EAGER

    def seconds_per_image(self, candidate: Candidate) -> float:
        return 1 / (self._scale * self._published(candidate))

    def seconds(self, candidate: Candidate) -> float:
        """Return about how many seconds measuring ``candidate`` takes, with its process's start."""
        question = self._question
        batch = question.batch_size * self.seconds_per_image(candidate)
        return self._start_up + runs(question) * max(batch, LEAST[question.device])

    def time_limit(self, candidate: Candidate) -> float:
        """Return the seconds after which measuring ``candidate`` is stopped."""
        return min(max(FACTOR * self.seconds(candidate), SHORTEST), LONGEST)


def runs(question: Question) -> int:
    """Return the number of runs of one measurement, untimed ones included."""
    return WARM_UP + repetitions(question)


def repetitions(question: Question) -> int:
    """Return the number of timed runs."""
    small = question.device == "cuda" and question.batch_size <= SMALL_BATCH
    return OF_SMALL if small else REPETITIONS[question.device]
