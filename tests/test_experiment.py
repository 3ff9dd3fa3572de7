"""The plan of docs/experiment.md, and the runs of it that are committed."""

from collections import Counter
from itertools import pairwise

from experiment import plan

from roadmap.sweep.jobs import check_finished
from roadmap.train.settings import runs_folder

ROOT = runs_folder() / "tiny-imagenet-100"
JOBS = list(plan("tiny-imagenet-100", ROOT))


def test_it_is_17_steps_with_three_seeds_and_13_recipes():
    runs = Counter((job.settings.roadmap, job.settings.seed) for job in JOBS)
    steps = {("resnet50", seed): 17 for seed in range(3)}
    assert runs == {**steps, ("torchvision_recipe", 0): 13}
    assert len({job.folder for job in JOBS}) == 64


def test_committed_runs_are_those_of_the_plan():
    committed = {path.parent for path in ROOT.glob("*/run.json")}
    assert committed <= {job.folder for job in JOBS}
    check_finished(JOBS)  # raises where one has other settings


def test_every_recipe_changes_what_its_step_is_named_after():
    recipes = [job.settings.recipe for job in JOBS if job.settings.roadmap == "torchvision_recipe"]
    assert all(before != after for before, after in pairwise(recipes))
