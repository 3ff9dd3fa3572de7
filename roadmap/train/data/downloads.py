"""Data sets that torchvision downloads: their sizes, and how much is here. Imports no torch."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from roadmap.tables.results import START
from roadmap.train.data.named_sets import ROOT


@dataclass(frozen=True)
class Download:
    """A data set's archive ``file`` of ``size`` bytes, which unpacks to ``folder``."""

    title: str
    file: str
    folder: str
    size: int
    train_images: int
    val_images: int

    @property
    def here(self) -> int:
        """The number of bytes that have been downloaded so far."""
        root = (START or Path.cwd()) / ROOT
        if (root / self.folder).is_dir():
            return self.size
        try:
            return min((root / self.file).stat().st_size, self.size)
        except OSError:
            return 0


#: By their names in ``--data``. Sizes as torchvision's servers state them.
DOWNLOADS = {
    "torch/cifar100": Download(
        "CIFAR-100", "cifar-100-python.tar.gz", "cifar-100-python", 169_001_437, 50_000, 10_000
    ),
    "torch/cifar10": Download(
        "CIFAR-10", "cifar-10-python.tar.gz", "cifar-10-batches-py", 170_498_071, 50_000, 10_000
    ),
}
