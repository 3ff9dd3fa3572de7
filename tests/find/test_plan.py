"""Which candidates are measured, in which order, and what is predicted."""

from __future__ import annotations

import pytest
from finder_rows import candidate, question, row

from roadmap.errors import RefusedError
from roadmap.find.candidates import candidates
from roadmap.find.plan import SHORTEST, Rates, plan, repetitions


def names(networks) -> list[str]:
    return [each.name for each in networks]


def test_networks_below_the_asked_accuracy_are_never_measured():
    found = plan(question(), [candidate("a", 79.9), candidate("b", 80.0)], [])
    assert names(found.order) == ["b"]
    assert found.below == 1


def test_within_a_family_only_the_cheapest_can_win_and_beaten_ones_are_left_out():
    family = {"family": "F"}
    networks = [
        candidate("tiny", 81.0, 2.0, **family),
        candidate("base", 83.0, 8.0, **family),
        candidate("old base", 80.5, 8.0, **family),
        candidate("other", 80.2, 30.0),
    ]
    found = plan(question(), networks, [])
    assert names(found.first) == ["tiny", "other"]
    assert names(found.then) == ["base"]
    assert found.beaten == 1


def test_counts_that_differ_by_rounding_are_the_same():
    family = {"family": "F"}
    networks = [
        candidate("timm's", 82.0, 4.10, params_m=25.56, **family),
        candidate("torchvision's", 82.0, 4.09, params_m=25.56, source="torchvision", **family),
    ]
    found = plan(question(), networks, [])
    assert (names(found.order), found.beaten) == (["timm's"], 1)


def test_our_networks_compete_with_those_of_libraries():
    networks = [
        candidate("convnext_tiny", 82.0, family="C"),
        candidate("convnext_tiny", 82.0, family="C", source="variant"),
    ]
    assert len(plan(question(), networks, []).first) == 2


def test_fewer_multiply_adds_at_a_larger_image_do_not_beat():
    networks = [
        candidate("wide", 82.0, 4.0, params_m=20, family="F"),
        candidate("large image", 82.5, 3.0, params_m=10, family="F", image_size=288),
    ]
    assert len(plan(question(), networks, []).first) == 2


def test_a_users_config_is_measured_first():
    own = candidate("own", None, 50.0, source="config", weights="")
    found = plan(question(), [candidate("a", 81.0), own], [])
    assert names(found.order) == ["own", "a"]
    assert found.below == 0


def test_the_promising_come_first_by_published_speed_then_by_gflops():
    networks = [
        candidate("slow", 81.0, 2.0, known={"i9_images_per_s": 10.0}),
        candidate("fast", 81.0, 8.0, known={"i9_images_per_s": 100.0}),
        candidate("unknown", 81.0, 4.0),  # median of 20 and 800 GFLOPs per second: 102 images/s
    ]
    assert names(plan(question(), networks, []).first) == ["unknown", "fast", "slow"]


def test_predictions_follow_what_was_measured_here():
    networks = [
        candidate("a", 81.0, 4.0, known={"i9_images_per_s": 100.0}),
        candidate("b", 81.0, 4.0, known={"i9_images_per_s": 50.0}),
    ]
    before = Rates(question(), networks, [])
    after = Rates(question(), networks, [row("a", 10)])
    assert after.seconds_per_image(networks[0]) == pytest.approx(0.1)
    assert after.seconds_per_image(networks[1]) == pytest.approx(0.2)
    assert after.seconds(networks[1]) > before.seconds(networks[1])
    other = Rates(question(), networks, [row("a", 10, dtype="bf16")])
    assert other.seconds(networks[1]) == before.seconds(networks[1])


def test_more_cores_are_predicted_to_be_faster():
    a = candidate("a", 81.0, known={"i9_images_per_s": 100.0})
    one, many = (
        Rates(question(device_name=f"CPU, {cores}"), [a], []).seconds_per_image(a)
        for cores in ("1 core", "16 cores")
    )
    assert one == pytest.approx(16 * many)


def test_a_time_limit_leaves_room_and_is_bounded():
    fast = candidate("a", 81.0, 0.1, known={"i9_images_per_s": 1e6})
    slow = candidate("b", 81.0, 500.0, known={"i9_images_per_s": 1e-3})
    rates = Rates(question(), [fast, slow], [])
    assert rates.time_limit(fast) == SHORTEST
    assert rates.time_limit(slow) == 600


def test_small_batches_on_a_gpu_are_timed_more_often():
    gpu = {"device": "cuda", "device_name": "GPU"}
    assert repetitions(question(**gpu)) > repetitions(question(batch_size=256, **gpu))


@pytest.mark.parametrize("kind", ["cpu", "cuda", "mps"])
def test_every_candidate_has_a_prediction_and_ten_minutes_of_a_gpu_are_enough_for_the_winners(kind):
    asked = question(82.0, device=kind, device_name="X, 16 cores", batch_size=1)
    found = plan(asked, candidates(), [])
    rates = Rates(asked, candidates(), [])
    seconds = [rates.seconds(each) for each in found.order]
    assert min(seconds) > 0
    assert len(found.first) + len(found.then) + found.below + found.beaten == len(candidates())
    assert sum(map(rates.seconds, found.first)) < 600


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"top1": 30.0}, "top-1 is 30; use 50 to 100"),
        ({"batch_size": 0}, "the batch size is 0; use 1 to 4096"),
        ({"dtype": "int8"}, "the precision is 'int8'; use float32 or bf16 or fp16"),
        ({"objective": "x"}, "the objective is 'x'; use latency"),
    ],
)
def test_invalid_questions_are_refused(changes, sentence):
    with pytest.raises(RefusedError, match=sentence):
        question(**changes)
