"""Temporary folders go with the process that made them: when it exits, or at the next start."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from roadmap.background import scratch

ROOT = Path(__file__).parents[1]
CODE = """
import sys, time
from pathlib import Path
from roadmap.background import scratch
folder = scratch.new_folder()
(Path(folder.name) / "network.onnx").write_bytes(bytes(1000))
print(folder.name, flush=True)
sys.stdin.readline()
"""


@pytest.fixture
def start(tmp_path):
    """Starts processes that make a folder in ``tmp_path``, and says which; kills what is left."""
    processes = []

    def start() -> tuple[subprocess.Popen, Path]:
        environment = os.environ | {"TMPDIR": str(tmp_path), "PYTHONPATH": str(ROOT)}
        options = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
        process = subprocess.Popen([sys.executable, "-c", CODE], env=environment, **options)
        processes.append(process)
        return process, Path(process.stdout.readline().strip())

    yield start
    for process in processes:
        process.kill()
        process.communicate()


def test_nothing_is_left_of_a_process_that_exits(start, tmp_path):
    process, folder = start()
    assert (folder / "network.onnx").stat().st_size == 1000
    process.communicate("\n")
    assert list(tmp_path.iterdir()) == []


def test_the_next_process_removes_what_one_that_was_killed_left_and_nothing_else(start, tmp_path):
    living, _ = start()
    killed, left = start()
    (tmp_path / "somebody-elses").mkdir()
    (tmp_path / f"{scratch.PREFIX}link").symlink_to(tmp_path / "somebody-elses")
    killed.kill()
    killed.wait()
    assert (left / "network.onnx").exists()
    _, own = start()
    assert not left.parent.exists()
    assert living.poll() is None
    assert own.exists()
    names = [path.name for path in tmp_path.iterdir()]
    assert len(names) == 4
    assert "somebody-elses" in names


def test_a_folder_without_a_lock_is_left_for_a_moment(tmp_path):
    folder = tmp_path / f"{scratch.PREFIX}x"
    folder.mkdir()
    scratch._sweep(tmp_path)
    assert folder.exists()
    os.utime(folder, (0, time.time() - 2 * scratch.NEW))
    scratch._sweep(tmp_path)
    assert not folder.exists()
