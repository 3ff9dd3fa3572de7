"""The processes that read images: how they start, and that they end with their training."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from data_sets import make_folder
from processes import in_group
from training_runs import wait_for

ROOT = Path(__file__).parents[2]
#: Without a main guard: a worker that imported it would train, too.
SCRIPT = """
import sys
from pathlib import Path
sys.path.insert(0, "tests/support")
from roadmap.train.data import in_memory
from roadmap.train.run import train
from training_runs import tiny_settings

in_memory.load.__defaults__ = (0,)
changes = {"batch_size": 8, "epochs": 1000}
data, output = sys.argv[1], Path(sys.argv[2])
train(tiny_settings(output, step="kernel_7", data=data, workers=2, changes=changes))
"""


@pytest.fixture
def pets(tmp_path):
    return make_folder(tmp_path / "pets", train=20, val=5)


def test_a_script_without_a_main_guard_trains_and_its_workers_end_when_it_is_killed(pets, tmp_path):
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    training = subprocess.Popen(
        [sys.executable, script, pets, tmp_path / "run"],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        metrics = tmp_path / "run" / "metrics.csv"
        wait_for(lambda: metrics.exists() or training.poll() is not None)
        assert training.poll() is None, training.stderr.read()
        # The training, the fork server, the resource tracker and two workers.
        wait_for(lambda: len(in_group(training.pid)) >= 5)
    finally:
        training.kill()
        training.wait()
    wait_for(lambda: not in_group(training.pid))
