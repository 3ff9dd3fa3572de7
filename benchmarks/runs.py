"""How long reading many training runs takes: ``python benchmarks/runs.py``.

Writes 1,000 runs of 300 epochs each into a temporary folder and times reading them all, reading
their learning curves, and the analysis: fastest and slowest of five, after one not counted.
"""

from __future__ import annotations

import random
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "tests" / "support")]

from fake_runs import write_run  # noqa: E402

from roadmap.ablation import analyse  # noqa: E402
from roadmap.runs import curves, read_runs  # noqa: E402
from roadmap.steps import ROADMAPS  # noqa: E402

RUNS, EPOCHS, REPETITIONS = 1000, 300, 5


def write_runs(root: Path) -> None:
    """All steps of a roadmap with one seed after another, until there are enough."""
    draw = random.Random(0)
    keys = ROADMAPS["resnet50"].keys
    for number in range(RUNS):
        seed, place = divmod(number, len(keys))
        write_run(root, keys[place], seed, 70 + place / 10 + draw.gauss(0, 0.2), epochs=EPOCHS)


def timed(what: str, action: Callable[[], object]) -> None:
    action()
    seconds = []
    for _ in range(REPETITIONS):
        begun = time.perf_counter()
        action()
        seconds.append(time.perf_counter() - begun)
    print(f"{what}: {min(seconds):.2f} to {max(seconds):.2f} s")


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        write_runs(root)
        found = read_runs(root)
        assert len(found.runs) == RUNS
        timed(f"read {RUNS} runs of {EPOCHS} epochs", lambda: read_runs(root))
        timed(f"curves of {RUNS} runs", lambda: [curves(run) for run in found.runs])
        timed(f"analysis of {RUNS} runs", lambda: analyse(found.runs, "tiny", "resnet50"))


if __name__ == "__main__":
    main()
