"""Networks with published ImageNet-1K top-1 that can answer a question. Imports no torch."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from functools import cache

from models.config import ModelConfig
from models.variants import TIMM_NAMES, VARIANTS
from roadmap.measure.complexity import count
from roadmap.measure.networks import LIBRARIES
from roadmap.steps import ROADMAPS
from roadmap.tables.results import read_rows, step_rows

TABLE = "paper/imagenet_networks"
#: Test set of the paper's figures, as the table names it.
VALIDATION = "ImageNet-1K validation"
#: Source of a user's own config, whose accuracy is unknown.
OWN = "config"
#: Name of this project where a network's library is named.
PROJECT = "this project"
#: Columns of published speeds in the table, by kind of device; they only order the candidates.
KNOWN = {"cuda": "rtx4090_images_per_s", "mps": "rtx4090_images_per_s", "cpu": "i9_images_per_s"}
#: Titles of pre-training data in the table.
PRETRAINING = {
    "in1k": "ImageNet-1K only",
    "in12k": "ImageNet-12K",
    "in21k": "ImageNet-21K",
    "in22k": "ImageNet-22K",
    "jft300m": "JFT-300M",
    "ig1b": "1 billion Instagram images",
}


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """A network at an image size, with the published top-1 (percent) of its ``weights``.

    ``test_set`` is what that was measured on; empty without a figure. ``weights`` is a tag of timm
    or a name of torchvision; empty for a step, whose weights are not published, and for a config.
    ``known`` has published images/s by column of the table.
    """

    source: str
    name: str
    image_size: int
    gflops: float
    params_m: float
    top1: float | None = None
    test_set: str = ""
    weights: str = ""
    family: str = ""
    pretraining: str = "in1k"
    known: dict[str, float] = field(default_factory=dict, hash=False, compare=False)
    config: ModelConfig | None = None

    @property
    def place(self) -> tuple[str, str, int]:
        """What is measured; different weights of one network share its speed."""
        return self.source, self.name, self.image_size

    @property
    def network(self) -> str:
        """The network's name for ``roadmap.measure.networks``."""
        return f"{self.source}:{self.name}"

    @property
    def library(self) -> str:
        """Where the network is from: a library, or this project."""
        return self.source if self.source in LIBRARIES else PROJECT

    @property
    def label(self) -> str:
        """The name beside ``library`` and image size, as in a table."""
        if self.source == OWN:
            return "your config"
        if self.source in ROADMAPS:
            return f"{self.short} (step from {ROADMAPS[self.source].networks[0]})"
        return self.name

    @property
    def title(self) -> str:
        """The name on its own, which identifies the network."""
        size = "" if self.image_size == 224 else f" at {self.image_size} px"
        is_plain = self.source in ("timm", OWN, *ROADMAPS)
        return f"{self.label}{'' if is_plain else f' ({self.library})'}{size}"

    @property
    def short(self) -> str:
        """A step's title, or the library's name of the network."""
        roadmap = ROADMAPS.get(self.source)
        return roadmap.step(self.name).title if roadmap else self.name

    @property
    def trained_on(self) -> str:
        return PRETRAINING.get(self.pretraining, self.pretraining)


@cache
def candidates() -> tuple[Candidate, ...]:
    """Return every network with its most accurate weights, the most accurate network first.

    Raises ``ResultsError`` if a table is missing.
    """
    libraries = [_published(row) for row in read_rows(TABLE)]
    every = [*libraries, *_sizes(libraries), *_steps()]
    best: dict[tuple[str, str, int], Candidate] = {}
    for each in sorted(every, key=lambda each: each.top1 or 0):
        best[each.place] = each
    return tuple(sorted(best.values(), key=lambda each: -(each.top1 or 0)))


def _published(row: dict[str, str]) -> Candidate:
    return Candidate(
        source=row["source"],
        name=row["name"],
        image_size=int(row["image_size"]),
        gflops=float(row["gflops"]),
        params_m=float(row["params_m"]),
        top1=float(row["top1"]),
        test_set=row["test_set"],
        weights=row["weights"],
        family=row["family"],
        pretraining=row["pretraining"],
        known={name: float(row[name]) for name in set(KNOWN.values()) if row[name]},
    )


def _sizes(libraries: Iterable[Candidate]) -> list[Candidate]:
    """Return this project's networks that take the weights of timm's network of the same shape."""
    ours = {timm: name for name, timm in TIMM_NAMES.items()}
    return [
        replace(each, source="variant", name=ours[each.name])
        for each in libraries
        if each.source == "timm" and each.name in ours
    ]


def _steps() -> list[Candidate]:
    """Return the steps with a published top-1 that are not a size as well."""
    sizes = set(VARIANTS.values())
    return [
        Candidate(
            source=name,
            name=row["key"],
            image_size=224,
            gflops=row["gflops"],
            params_m=row["params_m"],
            top1=row["top1"],
            test_set=VALIDATION,
            family=f"{name} steps",
        )
        for name, roadmap in ROADMAPS.items()
        if roadmap.changes_networks
        for row in step_rows(name)
        if row["top1"] and roadmap.config(row["key"]) not in sizes
    ]


def of_config(config: ModelConfig, image_size: int = 224) -> Candidate:
    """Return a user's config, named by a digest of its JSON.

    Raises ``ValueError`` if the image is too small for the network.
    """
    cost = count(config, image_size)
    digest = hashlib.sha256(config.to_json().encode()).hexdigest()[:12]
    return Candidate(
        source=OWN,
        name=digest,
        image_size=image_size,
        gflops=cost.macs / 1e9,
        params_m=cost.parameters / 1e6,
        config=config,
    )
