"""The nearest measured networks: fewest differing fields first, then the most similar cost."""

from __future__ import annotations

import pytest
from fake_runs import write_run

from models import VARIANTS, ModelConfig
from roadmap.runs import read_runs
from roadmap.steps import ROADMAPS
from roadmap.study.nearest import PUBLISHED, Measured, nearest, of_runs, published

TINY = VARIANTS["convnext_tiny"]


def measured(config: ModelConfig, top1: float = 50.0, data: str = "tiny", epochs: int = 10):
    return Measured(config, "", data, epochs, 1e-3, 96, top1, None, 1)


def test_fields_that_differ_count_before_cost():
    far_in_cost = measured(TINY.replace(width=8))
    near_in_cost = measured(TINY.replace(kernel_size=5, norm="batch"))
    same = measured(TINY)
    found = nearest(TINY, [near_in_cost, far_in_cost, same], most=3)
    assert [near.best for near in found] == [same, far_in_cost, near_in_cost]
    assert [dict(near.differs) for near in found][:2] == [{}, {"width": (96, 8)}]


def test_of_equally_many_fields_the_more_similar_cost_is_nearer_in_either_direction():
    widths = [measured(TINY.replace(width=width)) for width in (48, 80, 128, 192, 400)]
    found = nearest(TINY, widths, most=4)
    assert [near.best.config.width for near in found] == [80, 128, 48, 192]


def test_classes_and_stochastic_depth_do_not_tell_networks_apart():
    other = TINY.replace(num_classes=100, stochastic_depth=0.3)
    assert nearest(TINY, [measured(other)])[0].differs == {}
    assert list(nearest(TINY, [measured(other.replace(init="kaiming"))])[0].differs) == ["init"]


def test_a_network_is_listed_once_per_data_set_with_its_best_recipe():
    runs = [measured(TINY, top1, epochs=epochs) for top1, epochs in ((40, 10), (60, 90), (50, 30))]
    runs += [measured(TINY, 80, "other")]
    found = nearest(TINY, runs)
    assert [(near.best.data, near.best.epochs, near.recipes) for near in found] == [
        ("other", 10, 1),
        ("tiny", 90, 3),
    ]


def test_at_most_so_many_per_data_set():
    many = [
        measured(TINY.replace(kernel_size=size), data=data)
        for size in (3, 5, 9, 11, 13)
        for data in ("tiny", "other")
    ]
    found = nearest(TINY, many, most=2)
    assert sorted((near.best.data, near.best.config.kernel_size) for near in found) == [
        ("other", 5),
        ("other", 9),
        ("tiny", 5),
        ("tiny", 9),
    ]
    assert nearest(TINY, []) == []


def test_seeds_of_one_recipe_are_averaged_and_other_recipes_kept_apart(tmp_path):
    for seed, top1 in enumerate((60.0, 62.0, 67.0)):
        write_run(tmp_path, seed=seed, top1=top1)
    write_run(tmp_path / "more", seed=7, top1=50.0, recipe={"lr": 0.5})
    write_run(tmp_path, seed=8, top1=99.0, done=1)  # unfinished
    runs = [*read_runs(tmp_path).runs, *read_runs(tmp_path / "more").runs]
    best, other = sorted(of_runs(runs), key=lambda one: -one.top1)
    assert (best.top1, best.std, best.seeds) == (63.0, pytest.approx(13**0.5), 3)
    assert (other.top1, other.std, other.seeds, other.lr) == (50.0, None, 1, 0.5)
    assert (best.network, best.data, best.epochs, best.size) == ("Kernel size 7", "tiny", 3, 64)


def test_a_step_judged_by_averaged_weights_has_their_score(tmp_path):
    write_run(tmp_path, "ema", top1=60.0, ema_top1=65.0, roadmap="torchvision_recipe")
    assert [one.top1 for one in of_runs(read_runs(tmp_path).runs)] == [65.0]


def test_a_record_without_a_valid_network_is_left_out(tmp_path):
    write_run(tmp_path, seed=0, config={})
    write_run(tmp_path, seed=1, config={"width": -1})
    assert len(read_runs(tmp_path).runs) == 2
    assert of_runs(read_runs(tmp_path).runs) == []


def test_every_published_step_and_the_sizes_between_are_there():
    found = {(one.network, one.top1): one for one in published()}
    assert all(one.data == PUBLISHED and 70 < one.top1 < 90 for one in found.values())
    assert {name for name, top1 in found if top1 in (76.13, 78.2)} == {"ResNet-50", "ResNet-200"}
    assert any(name == "Stage ratio (ResNet-200)" for name, _ in found)
    step = found["Kernel size 7", 80.57]
    assert (step.config, step.std, step.seeds) == (ROADMAPS["resnet50"].config("kernel_7"), 0.14, 3)
    assert (step.epochs, step.lr, step.size) == (300, 4e-3, 224)
    small = found["ConvNeXt-S", 83.1]
    assert (small.config, small.std, small.seeds) == (VARIANTS["convnext_small"], None, None)
    near = nearest(TINY, published())
    assert near[0].best.top1 == pytest.approx(82.0, abs=0.2)
    assert near[0].recipes == 1
