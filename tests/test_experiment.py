"""The plan of docs/experiment.md, its runs that are committed, and what the texts say of them."""

import math
import re
from collections import Counter
from dataclasses import asdict
from io import StringIO
from itertools import pairwise
from statistics import fmean

import experiment
import pandas as pd
import pytest
import torch
import typer
from cases import cats_and_dogs
from committed_experiment import EXPERIMENT, PROJECT, ROOT, ablation, check_said
from experiment import plan
from fake_runs import write_run
from scipy.stats import spearmanr, t, ttest_ind

from roadmap.analysis.ablation import Ablation, StepResult, analyse
from roadmap.analysis.significance import holm
from roadmap.analysis.table import rows
from roadmap.analysis.verdict import ALPHA, GAIN, INCONCLUSIVE, LOSS
from roadmap.report import text
from roadmap.report.text import signed
from roadmap.runs import curves, judged_by, read_runs
from roadmap.steps import ROADMAPS
from roadmap.sweep.folders import check_folders
from roadmap.sweep.plan import read_progress

RECIPES = "torchvision_recipe"
JOBS = list(plan("tiny-imagenet-100", ROOT))


def test_it_is_17_steps_and_13_recipes_with_three_seeds():
    runs = Counter((job.settings.roadmap, job.settings.seed) for job in JOBS)
    steps = {"resnet50": 17, RECIPES: 13}
    assert runs == {(roadmap, seed): steps[roadmap] for roadmap in steps for seed in range(3)}
    assert len({job.folder for job in JOBS}) == 90


def test_committed_runs_are_those_of_the_plan():
    found = {run.path for run in read_runs(ROOT.parent).runs if run.path.parent == ROOT}
    assert found == {job.folder for job in JOBS}
    assert {read_progress(job.folder).status for job in JOBS} == {"finished"}
    check_folders(JOBS, device="cuda")  # raises where one has other settings


def test_a_run_of_train_by_hand_is_named_before_the_experiment_starts(
    tmp_path, monkeypatch, capsys
):
    data = cats_and_dogs(tmp_path / "pets")
    write_run(tmp_path / "runs", data="pets", epochs=300)
    monkeypatch.setenv("ROADMAP_RUNS", str(tmp_path / "runs"))
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(experiment, "run_jobs", lambda *_: pytest.fail("it has started"))
    with pytest.raises(typer.Exit) as end:
        experiment.main(str(data))
    assert end.value.exit_code == 2
    said = capsys.readouterr().err
    assert f"{tmp_path}/runs/pets holds 1 run with other settings; nothing was started" in said
    assert "resnet50-kernel_7-seed0 (finished): " in said
    assert "--epochs 300 before, 30 now" in said


def test_the_text_says_how_many_are_in():
    both = len(ablation().runs), len(ablation(RECIPES).runs)
    check_said(
        EXPERIMENT,
        f"All {both[0]} runs of the architecture roadmap and all {both[1]} of the recipe roadmap "
        "are in",
    )


def test_the_table_has_the_scores_of_the_runs():
    _, table = EXPERIMENT.read_text().split("| seed 0 | seed 1 | seed 2 | crops |")
    lines = re.findall(r"^\| `(\w+)` \|(.*)\|$", table.split("\n\n")[0], re.MULTILINE)
    said = {step: [cell.strip() for cell in line.split("|")] for step, line in lines}
    assert said == {result.step.key: cells(result.step.key) for result in ablation().steps}


def test_the_table_of_recipes_has_the_scores_of_the_runs():
    head = "| step | seed 0 | seed 1 | seed 2 | change | 95% interval | ImageNet |"
    table = EXPERIMENT.read_text().split(head)[1].split("\n\n")[0]
    said = [[cell.strip() for cell in line.split("|")[1:-1]] for line in table.splitlines()[2:]]
    assert said == [
        [f"`{result.step.key}`", *recipe_scores(result.step.key), *changes(result)]
        for result in ablation(RECIPES).steps
    ]


def recipe_scores(step: str) -> list[str]:
    measure = judged_by(ROADMAPS[RECIPES], step)
    runs = {run.seed: run.scores[measure] for run in ablation(RECIPES).runs if run.step == step}
    return [f"{runs[seed]:.2f}" for seed in range(3)]


def changes(result: StepResult) -> list[str]:
    if result.previous is None:
        return ["", "", ""]
    interval = result.change.interval
    return [
        signed(interval.mean, 2),
        text.interval(interval.low, interval.high),
        signed(result.paper_change, 2),
    ]


def cells(step: str) -> list[str]:
    runs = {run.seed: run for run in ablation().runs if run.step == step}
    scores = [f"{runs[seed].scores['top1']:.2f}" if seed in runs else "" for seed in range(3)]
    return [*scores, f"{fmean(curves(run)['train_top1'][-1] for run in runs.values()):.1f}"]


def test_it_says_what_the_report_says():
    quoted = re.findall(r"^> (.+)$", EXPERIMENT.read_text(), re.MULTILINE)
    both = ablation(), ablation(RECIPES)
    assert quoted == [
        sentence
        for found in both
        for sentence in (text.finding(found), " ".join(text.tests(found)), text.agreement(found))
    ]


@pytest.mark.parametrize("roadmap", ["resnet50", RECIPES])
def test_the_committed_report_has_the_figures_of_the_runs(roadmap):
    """docs/experiment.md has the commands that write it."""
    name = ROOT.name if roadmap == "resnet50" else f"{ROOT.name}-{roadmap}"
    table = pd.read_csv(PROJECT / "results" / "reports" / f"{name}.csv")
    expected = StringIO(pd.DataFrame(rows(ablation(roadmap))).to_csv(index=False))
    pd.testing.assert_frame_equal(table, pd.read_csv(expected))


def test_the_text_gives_the_finding_in_short_and_so_does_the_readme():
    steps = {result.step.key: result for result in ablation().steps}
    recipe, network = steps["training"].change, ablation().one_recipe.change
    way = [r.top1 for r in ablation().steps[1:-4] if r.step.adopted]
    rho = ablation().agreement
    gains, losses, unclear = (verdicts(ablation(), v) for v in (GAIN, LOSS, INCONCLUSIVE))
    recipes = verdicts(ablation(RECIPES), INCONCLUSIVE)
    both = (
        f"gains {recipe.points:.1f} points of top-1 ({steps['baseline'].top1:.1f} to "
        f"{steps['training'].top1:.1f}%)",
        f"cost {-network.mean:.1f} points (95% interval {-network.high:.1f} to "
        f"{-network.low:.1f}, 3 seeds)",
        f"last four changes, which are gains in the paper, each lose {lost()}",
    )
    check_said(PROJECT / "README.md", *both)
    check_said(
        EXPERIMENT,
        *both,
        f"Of the {len(ablation().tested)} changes, {len(gains)} are significant gains (the recipe "
        f"and Increase width, {signed(steps['increase_width'].change.points, 1)}), {len(losses)} "
        f"are losses and {len(unclear)} are inconclusive",
        f"Up to GELU the adopted steps stay at {min(way):.0f} to {max(way):.0f}%",
        f"order is {signed(rho.spearman, 2)} (p = {rho.spearman_p:.2f}), before the last four "
        f"{before_the_last_four()}",
        f"({len(ablation(RECIPES).steps)} steps of 20 or 40 epochs, three seeds, mostly on H100s)",
        f"twice the epochs gain ({gain('lr_optimizations')} and {gain('long_training')})",
        "TrivialAugment, FixRes and repeated augmentation lose "
        f"({gain('trivial_augment')}, {gain('fixres')} and {gain('repeated_augmentation')})",
        f"the other {len(recipes)} changes are inconclusive",
    )
    assert gains == ["training", "increase_width"]
    last = ablation().steps[-4:]
    assert {result.step.key for result in last} <= set(losses)
    assert all(result.paper_change > 0 for result in last)


def test_the_page_on_sweeps_says_what_the_digits_tell():
    found = analyse(read_runs(ROOT.parent).runs, "digits", "resnet50")
    [norm] = [result for result in found.tested if result.change.verdict != INCONCLUSIVE]
    means = [result.top1 for result in found.steps]
    check_said(
        PROJECT / "docs" / "sweeps.md",
        f"the means are {min(means):.0f} to {max(means):.0f}%, and one of {len(found.tested)} "
        f"changes is significant, {norm.step.title} ({signed(norm.change.points, 1)} points)",
    )


def test_what_the_text_adds_is_in_the_runs():
    changes = [r for r in ablation().tested[:-4] if r.paper_change]
    alike = [r for r in changes if (r.change.points > 0) == (r.paper_change > 0)]
    gains, losses = verdicts(ablation(), GAIN), verdicts(ablation(), LOSS)
    found = [r.step.key for r in alike if r.step.key in {*gains, *losses} - {"training"}]
    crops = {key: float(cells(key)[-1]) for key in ("layer_norm", "separate_downsampling")}
    check_said(
        EXPERIMENT,
        f"Of the {len(ablation().tested) - 1} changes to the network, {len(gains) - 1} is a gain "
        f"(`{gains[-1]}`) and {len(losses)} are losses; for each of these "
        f"{len(gains) - 1 + len(losses)}, all three seeds",
        f"{len(alike)} of {len(changes)} changes have the paper's sign",
        f"among them {len(found)} significant ones besides the recipe (`{'`, `'.join(found)}`)",
        f"rank correlation of these {len(ablation().steps) - 4} steps with the paper is "
        f"{before_the_last_four()}",
        f"is inconclusive (about {step('kernel_7').change.seeds_needed} seeds needed)",
        f"which are gains in the paper, each lose {lost()}",
        f"with {crops['layer_norm'] - crops['separate_downsampling']:.0f} points fewer crops right",
    )
    for key in (*gains, *losses):
        assert len({before > after for before, after in pairs(step(key))}) == 1
    assert {"kernel_9", "kernel_11"} <= set(losses)
    assert step("kernel_7").change.verdict == INCONCLUSIVE
    for key in ("kernel_7", "kernel_9", "kernel_11"):
        before = {"kernel_11": "kernel_9"}.get(key)  # the size before, not the step
        assert all(smaller > larger for smaller, larger in pairs(step(key), before))


def test_what_the_text_says_of_the_recipes_is_in_the_runs():
    steps = {result.step.key: result for result in ablation(RECIPES).steps}
    best, last = steps["long_training"], steps["repeated_augmentation"]
    crops = {key: fmean(last_of(key, "train_top1")) for key in ("inference_resize", last.step.key)}
    faster = 1 - steps["fixres"].seconds / steps["weight_decay"].seconds
    both = zip(last_of("long_training", "top1"), last_of("weight_decay", "top1"), strict=True)
    down = [before - after for before, after in both]
    check_said(
        EXPERIMENT,
        f"gets {crops['inference_resize']:.1f}% of its training crops right in the last epoch; "
        f"`{last.step.key}` {crops[last.step.key]:.1f}%",
        f"`lr_optimizations` gains {steps['lr_optimizations'].change.points:.1f} points and "
        f"`long_training`, twice the epochs, {best.change.points:.1f}",
        f"`trivial_augment` costs {-steps['trivial_augment'].change.points:.1f} and `fixres` "
        f"{-steps['fixres'].change.points:.1f}",
        f"take {faster:.0%} less time",
        f"the best of all at {max(result.top1 for result in steps.values()):.1f}%, to "
        f"`weight_decay` top-1 falls by {fmean(down):.1f} points, in every seed by {min(down):.1f} "
        "or more",
    )
    assert verdicts(ablation(RECIPES), GAIN) == ["lr_optimizations", "long_training"]
    losses = verdicts(ablation(RECIPES), LOSS)
    assert losses == ["trivial_augment", "fixres", last.step.key]
    assert min(r.change.points for r in ablation(RECIPES).tested) == last.change.points
    assert all(result.paper_change > 0 for result in ablation(RECIPES).tested)
    averaged = (run.scores for run in ablation(RECIPES).runs if run.scores["ema_top1"] is not None)
    assert max(abs(scores["ema_top1"] - scores["top1"]) for scores in averaged) < 0.3


def test_what_the_text_says_of_seeds_is_in_the_runs():
    ema, fixres = last_of("ema", "top1"), last_of("fixres", "top1")
    own = [after - before for before, after in zip(fixres, ema, strict=True)]
    assert [points > 0 for points in own] == [False, True, True]
    both = ablation(), ablation(RECIPES)
    (paired, unpaired), (of_recipes, unpaired_of_recipes) = (
        (found.paired.paired_std, found.paired.unpaired_std) for found in both
    )
    level = ALPHA / len(ablation().tested) / 2
    by_pairs = t.isf(level, 2) * paired / math.sqrt(3)
    spread = ablation().spread
    pooled = t.isf(level, spread.degrees) * spread.std * math.sqrt(2 / 3)
    own_variance = [significant_by_welch(found) for found in both]
    check_said(
        EXPERIMENT,
        f"score {-own[0]:.2f} points less, {own[1]:.2f} more and {own[2]:.2f} more",
        f"is {paired:.2f} points paired and {unpaired:.2f} unpaired on the architecture roadmap, "
        f"{of_recipes:.2f} and {unpaired_of_recipes:.2f} on the recipes'",
        f"with {len(ablation().tested)} comparisons a change has to reach {by_pairs:.1f} points",
        f"({spread.degrees} degrees of freedom) {pooled:.1f} points are enough",
        f"{len(own_variance[0])} of {len(both[0].tested)} and {len(own_variance[1])} of "
        f"{len(both[1].tested)} changes are significant: "
        f"{'; '.join(', '.join(f'`{key}`' for key in keys) for keys in own_variance)}.",
    )
    for found, only in zip(both, ("training", "repeated_augmentation"), strict=True):
        by_seed = found.paired.verdicts
        assert [key for key in by_seed if by_seed[key] != INCONCLUSIVE] == [only]
        assert not found.spread.differs


def test_what_the_text_says_of_the_machines_is_in_the_runs():
    check_said(
        EXPERIMENT,
        "architecture roadmap ran on one NVIDIA H200, and so did the steps of the recipe roadmap "
        "up to `ema` with seed 0. All other runs of the recipe roadmap used two H100s",
        "The seconds of the recipe roadmap are the H100s'.",
    )
    until = ROADMAPS[RECIPES].keys.index("ema")
    old = {(key, 0) for key in ROADMAPS[RECIPES].keys[: until + 1]}
    places = {(r.step, r.seed): r.device for r in ablation(RECIPES).runs}
    assert {place for place, device in places.items() if device == "NVIDIA H200"} == old
    assert {places[place] for place in places.keys() - old} == {"NVIDIA H100 80GB HBM3"}
    assert ablation(RECIPES).timed_on.device == "NVIDIA H100 80GB HBM3"
    assert {run.device for run in ablation().runs} == {"NVIDIA H200"}


def verdicts(found: Ablation, verdict: str) -> list[str]:
    return [r.step.key for r in found.tested if r.change.verdict == verdict]


def significant_by_welch(found: Ablation) -> list[str]:
    """By Welch's t-test, Holm's correction in it."""
    scores = {
        result.step.key: [
            run.scores[judged_by(found.roadmap, run.step)]
            for run in found.runs
            if run.step == result.step.key
        ]
        for result in found.steps
    }
    p = [
        ttest_ind(scores[r.previous], scores[r.step.key], equal_var=False).pvalue
        for r in found.tested
    ]
    both = zip(found.tested, holm(p), strict=True)
    return [result.step.key for result, adjusted in both if adjusted <= ALPHA]


def last_of(step: str, column: str) -> list[float]:
    """The last epoch's, by seed."""
    runs = sorted((r for r in ablation(RECIPES).runs if r.step == step), key=lambda run: run.seed)
    return [curves(run)[column][-1] for run in runs]


def gain(recipe: str) -> str:
    found = next(result for result in ablation(RECIPES).steps if result.step.key == recipe)
    return signed(found.change.points, 1)


def lost() -> str:
    points = sorted(-result.change.points for result in ablation().steps[-4:])
    return f"{points[0]:.1f} to {points[-1]:.1f} points"


def before_the_last_four() -> str:
    some = ablation().steps[:-4]
    found = spearmanr([r.top1 for r in some], [r.paper_top1 for r in some])
    return f"{signed(float(found.statistic), 2)} (p = {found.pvalue:.2f})"


def step(key: str) -> StepResult:
    return next(result for result in ablation().steps if result.step.key == key)


def pairs(result: StepResult, before: str | None = None) -> list[tuple[float, float]]:
    """Top-1 of the step before and of the step, seed by seed."""
    scores = {(run.step, run.seed): run.scores["top1"] for run in ablation().runs}
    before = before or result.previous
    found = [(scores.get((before, s)), scores[result.step.key, s]) for s in result.seeds]
    return [both for both in found if both[0] is not None]


def test_neighboring_recipes_differ_in_what_their_step_changes():
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
