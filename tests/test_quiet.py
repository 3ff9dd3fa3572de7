"""Commands print no warning, of ours or of a library's; tests/views/test_all_pages.py has pages."""

import os
import subprocess
import sys
from pathlib import Path

import few_digits

RUNS = Path(__file__).parents[1] / "results" / "runs"
#: In one process: importing takes longer than most of them.
COMMANDS = """
import typer.main
from roadmap.cli import app

for words in (
    "profile --step gelu",
    "train --step kernel_7 --scale pocket --epochs 1 --tensorboard --output run",
    "report --data digits --output report.html",
    "predict --data digits --best",
    "export --run run --format pt2 --output network.pt2",
    "export --run run --format onnx --output network.onnx",
):
    assert not typer.main.get_command(app).main(words.split(), standalone_mode=False), words
"""


def test_no_warning_is_printed(tmp_path):
    ran = subprocess.run(
        [sys.executable, "-c", few_digits.CODE + COMMANDS],
        cwd=tmp_path,
        env={**os.environ, "ROADMAP_RUNS": str(RUNS)},
        capture_output=True,
        text=True,
    )
    assert ran.returncode == 0, ran.stderr
    lines = ran.stderr.splitlines()
    warnings = [line for line in lines if "warn" in line.lower() or "deprecat" in line.lower()]
    assert not warnings, ran.stderr
