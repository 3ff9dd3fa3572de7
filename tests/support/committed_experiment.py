"""The experiment that is committed: its runs, its text, and what the text has to say."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from roadmap.analysis.ablation import Ablation, analyse
from roadmap.runs import read_runs

PROJECT = Path(__file__).parents[2]
ROOT = PROJECT / "results" / "runs" / "tiny-imagenet-100"
EXPERIMENT = PROJECT / "docs" / "experiment.md"


@cache
def ablation(roadmap: str = "resnet50") -> Ablation:
    return analyse(read_runs(ROOT.parent).runs, ROOT.name, roadmap)


def check_said(path: Path, *fragments: str) -> None:
    said = " ".join(path.read_text().split())
    assert [fragment for fragment in fragments if fragment not in said] == []
