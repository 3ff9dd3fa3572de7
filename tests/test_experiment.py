"""The plan of docs/experiment.md, its runs that are committed, and what the texts say of them."""

import re
from collections import Counter
from dataclasses import asdict
from functools import cache
from html import escape
from itertools import pairwise
from pathlib import Path
from statistics import fmean

import pandas as pd
import pytest
from experiment import plan

from roadmap.ablation import GAIN, Ablation, ablation_table, analyse, rows
from roadmap.report import text
from roadmap.report.figures_table import figures_table
from roadmap.runs import curves, read_runs
from roadmap.steps import ROADMAPS
from roadmap.sweep.jobs import check_finished
from roadmap.text import number

PROJECT = Path(__file__).parents[1]
ROOT = PROJECT / "results" / "runs" / "tiny-imagenet-100"
REPORTS = PROJECT / "results" / "reports"
EXPERIMENT = PROJECT / "docs" / "experiment.md"
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
    _, table = EXPERIMENT.read_text().split("| seed 0 | seed 1 | seed 2 | crops |")
    rows = re.findall(r"^\| `(\w+)` \|(.*)\|$", table.split("\n\n")[0], re.MULTILINE)
    said = {step: [cell.strip() for cell in cells.split("|")] for step, cells in rows}
    assert said == {result.step.key: cells(result.step.key) for result in ablation().steps}


def cells(step: str) -> list[str]:
    runs = {run.seed: run for run in ablation().runs if run.step == step}
    scores = [f"{runs[seed].scores['top1']:.2f}" if seed in runs else "" for seed in range(3)]
    return [*scores, f"{fmean(curves(run)['train_top1'][-1] for run in runs.values()):.1f}"]


@cache
def ablation() -> Ablation:
    return analyse(read_runs(ROOT.parent).runs, ROOT.name, "resnet50")


def test_it_says_what_the_report_says():
    quoted = re.findall(r"^> (.+)$", EXPERIMENT.read_text(), re.MULTILINE)
    assert quoted == sentences()


def sentences() -> list[str]:
    found = ablation()
    return [text.finding(found), *text.together(found), text.agreement(found)]


def test_the_committed_reports_are_those_of_the_runs():
    """docs/experiment.md has the commands that make them anew."""
    html = (REPORTS / "tiny-imagenet-100.html").read_text(encoding="utf-8")
    for part in (*map(escape, sentences()), figures_table(ablation_table(ablation()))):
        assert part in html
    table = pd.read_csv(REPORTS / "tiny-imagenet-100.csv")
    pd.testing.assert_frame_equal(table, pd.DataFrame(rows(ablation())), check_dtype=False)


def test_the_readme_gives_the_finding():
    said = " ".join((PROJECT / "README.md").read_text().split())
    steps = {result.step.key: result for result in ablation().steps}
    recipe, network = steps["training"], ablation().one_recipe
    best = max(steps.values(), key=lambda result: result.top1)
    assert best.step.key == "inverted_bottleneck"
    for figures in (
        f"brings {recipe.change.points:.1f} points of top-1 ({steps['baseline'].top1:.1f} to "
        f"{recipe.top1:.1f}%), the one real gain among {len(ablation().tested)} changes tested",
        f"together cost {-network.change.mean:.1f} points (95% interval "
        f"{-network.change.high:.1f} to {-network.change.low:.1f})",
        f"the inverted bottleneck, stands at {best.top1:.1f}%, ConvNeXt-T at "
        f"{network.last.top1:.1f}%",
        f"paper's order is {number(ablation().agreement.spearman, 2)}.",
    ):
        assert figures in said
    assert [r.step.key for r in ablation().tested if r.change.verdict == GAIN] == ["training"]


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
