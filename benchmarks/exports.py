"""Export and check every full-size step that changes the network, in every format.

``python benchmarks/exports.py`` adds the rows that ``results/measured/exports.csv`` lacks, such as
those of a new step; ``--step KEY`` (may be repeated) measures that step again. It stops at the
first failed check.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Iterator
from datetime import date
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

from models import ModernResNet
from roadmap.export.check import fill
from roadmap.export.formats import CHECKED_BY, save
from roadmap.files import write_csv
from roadmap.steps import ROADMAPS
from roadmap.tables.results import RESULTS, read_rows

TABLE = RESULTS / "measured" / "exports.csv"
COLUMNS = ("roadmap", "step", "format", "difference", "bytes", "seconds")
COLUMNS += ("image_size", "torch", "onnxruntime", "date")
IMAGE_SIZE = 224
Place = tuple[str, str, str]


def places() -> list[Place]:
    """Return roadmap, step and format of every row, in order; recipe roadmaps have none."""
    return [
        (roadmap.name, key, form)
        for roadmap in ROADMAPS.values()
        if roadmap.changes_networks
        for key in roadmap.keys
        for form in CHECKED_BY
    ]


def measured(wanted: list[Place]) -> Iterator[dict[str, Any]]:
    """Yield one row for each of ``wanted``, with weights that give every layer an effect."""
    before, network = None, None
    for roadmap, step, form in wanted:
        if (roadmap, step) != before:
            before, network = (roadmap, step), built(roadmap, step)
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / f"network.{form}"
            begun = time.perf_counter()
            difference = save(form, network, path, {}, IMAGE_SIZE)
            seconds = time.perf_counter() - begun
            yield {
                "roadmap": roadmap,
                "step": step,
                "format": form,
                "difference": f"{difference:.1e}",
                "bytes": path.stat().st_size,
                "seconds": f"{seconds:.1f}",
                "image_size": IMAGE_SIZE,
                "torch": torch.__version__.split("+")[0],
                "onnxruntime": version("onnxruntime") if form == "onnx" else "",
                "date": date.today().isoformat(),
            }


def built(roadmap: str, step: str) -> ModernResNet:
    with torch.device("meta"):
        network = ModernResNet(ROADMAPS[roadmap].config(step))
    return fill(network.to_empty(device="cpu")).eval()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--step", action="append", default=[], metavar="KEY")
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    known = read_rows("measured/exports") if TABLE.is_file() else []
    rows = {(row["roadmap"], row["step"], row["format"]): row for row in known}
    wanted = [place for place in places() if place not in rows or place[1] in options.step]
    for number, row in enumerate(measured(wanted), start=1):
        rows[row["roadmap"], row["step"], row["format"]] = row
        write_csv(TABLE, COLUMNS, [rows[place] for place in places() if place in rows])
        print(f"{number} of {len(wanted)}:", *row.values(), flush=True)


if __name__ == "__main__":
    main()
