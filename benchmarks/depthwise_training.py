"""Scores after ten epochs with PyTorch's depthwise convolution and with ours.

    python benchmarks/depthwise_training.py --data PATH [--processes 3] [-- options of train]

Trains `separate_downsampling` with each value of ``ROADMAP_DEPTHWISE`` and each seed, with
``python -m roadmap train``, ``--processes`` runs at a time on one GPU. Writes
``measured/depthwise_training``, one row per run with its scores, and prints mean and standard
deviation over seeds.
"""

from __future__ import annotations

import argparse
import itertools
import os
import statistics
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from datetime import date
from pathlib import Path

from models.kernels.depthwise.layer import CHOICES, SWITCH
from roadmap.runs.record import read_record
from roadmap.tables.results import merge_rows

STEP, SEEDS, EPOCHS = "separate_downsampling", (0, 1, 2), 10


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", required=True)
    parser.add_argument("--processes", type=int, default=3)
    parser.add_argument("options", nargs="*", help="passed on to `train`")
    options = parser.parse_args()

    runs = list(itertools.product(CHOICES, SEEDS))
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(options.processes) as pool:
        rows = list(pool.map(lambda run: row(*run, options.data, options.options, folder), runs))
    merge_rows("measured/depthwise_training", ("step", "depthwise", "seed"), rows)
    for choice in CHOICES:
        scores = [float(found["top1"]) for found in rows if found["depthwise"] == choice]
        print(choice, f"{statistics.mean(scores):.2f} ± {statistics.stdev(scores):.2f}", scores)


def row(choice: str, seed: int, data: str, options: list[str], folder: str) -> dict[str, object]:
    place = Path(folder) / f"{choice}-{seed}"
    command = [sys.executable, "-m", "roadmap", "train", "--step", STEP, "--data", data]
    command += ["--epochs", str(EPOCHS), "--seed", str(seed), "--output", str(place), *options]
    subprocess.run(command, check=True, env=os.environ | {SWITCH: choice})
    run = read_record(place)
    assert run is not None
    return {
        "step": STEP,
        "depthwise": run.depthwise,
        "seed": seed,
        "epochs": EPOCHS,
        "data": run.data,
        "options": " ".join(options),
        "top1": run.scores["top1"],
        "val_loss": run.scores["val_loss"],
        "device_name": run.device,
        "torch": run.versions["torch"],
        "date": date.today().isoformat(),
    }


if __name__ == "__main__":
    main()
