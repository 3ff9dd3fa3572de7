"""Commands and pages print no warning, of ours or of a library's."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

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
PAGES = """
from pathlib import Path
from streamlit.testing.v1 import AppTest
from roadmap import views

for path in Path(views.__path__[0]).glob("*_page.py"):
    script = f"from roadmap.views import {path.stem}\\n{path.stem}.show()"
    assert not AppTest.from_string(script, default_timeout=120).run().exception, path
"""


@pytest.mark.parametrize("code", [COMMANDS, PAGES], ids=["commands", "pages"])
def test_no_warning_is_printed(code, tmp_path):
    ran = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env={**os.environ, "ROADMAP_RUNS": str(RUNS)},
        capture_output=True,
        text=True,
    )
    assert ran.returncode == 0, ran.stderr
    # The test harness itself has no browser's context.
    lines = [line for line in ran.stderr.splitlines() if "missing ScriptRunContext" not in line]
    warnings = [line for line in lines if "warn" in line.lower() or "deprecat" in line.lower()]
    assert not warnings, ran.stderr
