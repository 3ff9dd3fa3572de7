"""docs/first-training.md, from its first command to its last line of Python."""

import re
import shlex
from pathlib import Path

import pytest
from typer.testing import CliRunner

from roadmap.cli import app
from roadmap.sweep import command as sweeping
from roadmap.train.run import train

TEXT = Path(__file__).parents[1] / "docs" / "first-training.md"


@pytest.fixture(scope="module")
def blocks() -> list[tuple[str, str]]:
    found = re.findall(r"^```(sh|python)\n(.*?)^```", TEXT.read_text(encoding="utf-8"), re.M | re.S)
    assert {language for language, _ in found} == {"sh", "python"}
    return found


@pytest.mark.usefixtures("few_digits")
def test_it_runs_from_start_to_end(blocks, tmp_path, monkeypatch):
    """Each training for one epoch, and the sweep's in this process (tests/sweep has its own)."""
    trained = []

    def train_all(jobs, _engine):
        for job in jobs:
            trained.append(job.folder.name)
            train(job.settings)
        return 0

    monkeypatch.setattr(sweeping, "_engine", lambda *_: None)
    monkeypatch.setattr(sweeping, "run_jobs", train_all)
    monkeypatch.chdir(tmp_path)
    names = {}
    printed = ""
    for language, block in blocks:
        if language == "python":
            exec(block, names)
            continue
        for line in block.splitlines():
            words = shlex.split(line, comments=True)
            if words[0] == "export":
                monkeypatch.setenv(*words[1].split("="))
                continue
            assert words[:3] == ["python", "-m", "roadmap"]
            short = ["--epochs", "1"] if words[3] in ("train", "sweep") else []
            done = CliRunner().invoke(app, [*words[3:], *short])
            assert done.exit_code == 0, (line, done.output, done.exception)
            printed += done.output
    steps = ("fewer_norms", "layer_norm")
    assert sorted(trained) == [f"resnet50-{s}-seed{n}" for s in steps for n in range(3)]
    assert "Of 1 change tested" in printed
    assert "<svg" in Path("report.html").read_text(encoding="utf-8")
    assert Path("resnet50_layer_norm_seed0.py").is_file()
    assert names["scores"].shape == (1, 10)
