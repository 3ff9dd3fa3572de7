"""The plan of docs/experiment.md, and the runs of it that are committed."""

import json
import re
from collections import Counter
from dataclasses import asdict
from itertools import pairwise
from pathlib import Path

import pytest
from experiment import plan

from roadmap.steps import ROADMAPS
from roadmap.sweep.jobs import check_finished

PROJECT = Path(__file__).parents[1]
ROOT = PROJECT / "results" / "runs" / "tiny-imagenet-100"
JOBS = list(plan("tiny-imagenet-100", ROOT))


def test_it_is_17_steps_with_three_seeds_and_13_recipes():
    runs = Counter((job.settings.roadmap, job.settings.seed) for job in JOBS)
    steps = {("resnet50", seed): 17 for seed in range(3)}
    assert runs == {**steps, ("torchvision_recipe", 0): 13}
    assert len({job.folder for job in JOBS}) == 64


def test_committed_runs_are_those_of_the_plan():
    committed = {path.parent for path in ROOT.glob("*/run.json")}
    assert committed
    assert committed <= {job.folder for job in JOBS}
    check_finished(JOBS)  # raises where one has other settings


@pytest.mark.parametrize("path", ["README.md", "docs/experiment.md"])
def test_the_texts_say_how_many_are_in(path):
    said = re.search(r"(\d+) of (?:the )?51 runs", (PROJECT / path).read_text())
    assert int(said[1]) == len(list(ROOT.glob("resnet50-*/run.json")))


def test_the_table_has_the_scores_of_the_runs():
    _, table = (PROJECT / "docs/experiment.md").read_text().split("| seed 0 | seed 1 | seed 2 |")
    rows = re.findall(r"^\| `(\w+)` \|(.*)\|$", table.split("\n\n")[0], re.MULTILINE)
    said = {step: [cell.strip() for cell in cells.split("|")] for step, cells in rows}
    steps = [job.settings.step for job in JOBS[:17]]
    assert said == {step: [score(step, seed) for seed in range(3)] for step in steps}


def score(step: str, seed: int) -> str:
    path = ROOT / f"resnet50-{step}-seed{seed}" / "run.json"
    return f"{json.loads(path.read_text())['scores']['top1']:.2f}" if path.exists() else ""


def test_neighbouring_recipes_differ_in_what_their_step_changes():
    """But for the warm-up, which is the same throughout (docs/experiment.md says why)."""
    roadmap = ROADMAPS["torchvision_recipe"]
    jobs = [job.settings for job in JOBS if job.settings.roadmap == roadmap.name]
    for before, after in pairwise(jobs):
        own = changed(roadmap.recipe(before.step), roadmap.recipe(after.step))
        shortened = {"step_epochs"} if "schedule" in own else set()
        found = changed(before.recipe, after.recipe) - shortened
        assert found == own - {"batch_size", "warmup_epochs"}, after.step


def changed(before, after) -> set[str]:
    before, after = asdict(before), asdict(after)
    return {name for name in before if before[name] != after[name]}
