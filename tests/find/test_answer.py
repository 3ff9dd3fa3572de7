"""The answer: who wins, what is said about it, and lines that do what they say."""

from __future__ import annotations

import ast

import pytest
from finder_rows import candidate, question, row

from models import VARIANTS
from roadmap.find.answer import (
    about_own,
    create_line,
    front,
    points,
    python_lines,
    sentence,
    timm_name,
    weights_note,
    winners,
)
from roadmap.find.candidates import candidates, of_config

NETWORKS = [
    candidate("small", 79.0),
    candidate("middle", 81.0),
    candidate("large", 83.0, pretraining="in22k"),
]
ROWS = [row("small", 400), row("middle", 200), row("large", 100)]


def test_the_fastest_with_the_asked_accuracy_wins():
    asked = question()
    measured = points(asked, NETWORKS, ROWS)
    assert [point.candidate.name for point in measured] == ["small", "middle", "large"]
    assert [point.value for point in measured] == [5.0, 10.0, 20.0]  # ms per batch of 2
    assert winners(asked, measured)[0].candidate.name == "middle"
    text = sentence(asked, measured, NETWORKS)
    assert text.startswith(
        "middle is the fastest of the 2 measured networks with at least 80.0% top-1: 10.0 ms on "
        "Test CPU, 2 cores, batch 2, float32, 81.0% top-1 (trained on ImageNet-1K only)."
    )
    assert "Second is large, with 83.0% and 20.0 ms." in text


@pytest.mark.parametrize(
    ("top1", "winner"), [(79.0, "small"), (79.1, "middle"), (81.0, "middle"), (81.1, "large")]
)
def test_the_asked_accuracy_is_the_least_that_counts(top1, winner):
    asked = question(top1)
    assert winners(asked, points(asked, NETWORKS, ROWS))[0].candidate.name == winner


def test_of_equal_figures_the_more_accurate_network_wins():
    rows = [row("middle", 100), row("large", 100)]
    measured = points(question(), NETWORKS, rows)
    assert winners(question(), measured)[0].candidate.name == "large"
    assert front(measured) == measured[:1]


def test_throughput_and_memory_have_their_own_winners():
    rows = [row("middle", 200, peak_memory_gb=0.9), row("large", 100, peak_memory_gb=0.2)]
    fastest = points(question(objective="throughput"), NETWORKS, rows)
    assert (fastest[0].candidate.name, fastest[0].value) == ("middle", 200)
    smallest = points(question(objective="memory"), NETWORKS, rows)
    assert (smallest[0].candidate.name, smallest[0].value) == ("large", 0.2)
    assert "0.20 GB" in sentence(question(objective="memory"), smallest, NETWORKS)


def test_a_batch_that_did_not_fit_has_a_throughput_but_no_latency_and_no_memory():
    rows = [row("middle", 200, batch_size=1)]
    assert points(question(), NETWORKS, rows) == []
    assert points(question(objective="memory"), NETWORKS, rows) == []
    assert points(question(objective="throughput"), NETWORKS, rows)[0].value == 200


@pytest.mark.parametrize(
    "changes",
    [{"device_name": "Other"}, {"dtype": "bf16"}, {"batch_size_asked": 4}, {"image_size": 288}],
)
def test_rows_of_other_conditions_do_not_count(changes):
    assert points(question(), NETWORKS, [row("middle", 200, **changes)]) == []


def test_unmeasured_memory_does_not_count():
    assert points(question(objective="memory"), NETWORKS, [row("middle", 2, peak_memory_gb="")]
                  ) == []  # fmt: skip


def test_near_figures_are_no_victory():
    text = sentence(question(), points(question(), NETWORKS, [
        row("middle", 100), row("large", 98)]), NETWORKS)  # fmt: skip
    assert "Within 3% of it: large, with 83.0%." in text
    assert "Second" not in text


def test_a_disturbed_leader_is_named_with_the_reason():
    rows = [row("middle", 200), row("large", 100, disturbed="other processes used 40% of it")]
    text = sentence(question(), points(question(), NETWORKS, rows), NETWORKS)
    assert "large may be faster: while it was measured, other processes used 40%" in text
    assert "middle may be" not in text


def test_two_disturbed_leaders_are_one_sentence():
    rows = [
        row(name, speed, disturbed="it was busy") for name, speed in (("middle", 2), ("large", 1))
    ]
    text = sentence(question(), points(question(), NETWORKS, rows), NETWORKS)
    assert text.endswith("Both may be faster: while they were measured, it was busy.")


def test_marks_in_a_devices_name_are_left_out_of_texts():
    asked = question(device_name="Intel(R) Core(TM) i9, 10 cores")
    assert asked.conditions == "Intel Core i9, 10 cores, batch 2, float32"


def test_an_answer_without_weights_names_the_best_with_weights():
    networks = [candidate("step", 82.0, weights=""), *NETWORKS]
    measured = points(question(), networks, [row("step", 300), *ROWS])
    text = sentence(question(), measured, networks)
    assert text.startswith("step is the fastest")
    assert (
        "Its weights are not published; the fastest with weights is middle, with 81.0% and 10.0"
        in text
    )


def test_without_an_answer_the_sentence_says_what_is_missing():
    assert "No network with at least 80.0% top-1 has been measured yet" in sentence(
        question(), points(question(), NETWORKS, [row("small", 1)]), NETWORKS
    )
    assert sentence(question(95.0), [], NETWORKS) == (
        "No candidate has at least 95.0% top-1; the most accurate one is large with 83.0%."
    )


def test_the_front_has_the_points_that_no_other_beats():
    networks = [*NETWORKS, candidate("beaten", 80.5), candidate("same speed", 80.0)]
    measured = points(question(), networks, [*ROWS, row("beaten", 150), row("same speed", 200)])
    assert [point.candidate.name for point in front(measured)] == ["small", "middle", "large"]
    reverse = question(objective="throughput")
    again = front(points(reverse, networks, [*ROWS, row("beaten", 150)]))
    assert [point.candidate.name for point in again] == ["small", "middle", "large"]


def test_a_users_config_never_answers_but_is_compared():
    own = of_config(VARIANTS["convnext_tiny"])
    rows = [*ROWS, row(own.name, 400, source="config")]
    measured = points(question(), [own, *NETWORKS], rows)
    assert winners(question(), measured)[0].candidate.name == "middle"
    assert "2.00 times better than middle" in about_own(question(), measured)
    assert about_own(question(), points(question(), NETWORKS, rows)) == ""


def test_lines_are_python_and_name_the_network_as_its_library_does():
    for each in candidates():
        program = python_lines(each, question(dtype="bf16"))
        ast.parse(program)
        assert create_line(each) in program
        assert "torch.bfloat16" in program
        assert ("pretrained=True" in program) == bool(each.weights and timm_name(each))
    assert "autocast" not in python_lines(NETWORKS[0], question())


@pytest.mark.parametrize(
    ("place", "line"),
    [
        (("timm", "hgnetv2_b2", 224), 'timm.create_model("hgnetv2_b2.ssld_stage2_ft_in1k", pre'),
        (("torchvision", "resnet50", 224), 'get_model("resnet50", weights="IMAGENET1K_V2")'),
        (("variant", "convnext_tiny", 224), '("roadmap_convnext_tiny.in12k_ft_in1k", pretrained'),
        (("resnet200", "gelu", 224), 'timm.create_model("roadmap_resnet200_gelu")'),
    ],
)
def test_each_source_has_its_line(place, line):
    found = next(each for each in candidates() if each.place == place)
    assert line in create_line(found)
    note = weights_note(found)
    assert ("not published" in note) == (place[0] == "resnet200")
    whose = {"torchvision": "torchvision's", "resnet200": "the paper's"}.get(place[0], "timm's")
    assert f"{whose} figure on the ImageNet-1K validation set" in note


def test_the_program_runs_as_written():
    smallest = min((each for each in candidates() if each.source == "timm"),
                   key=lambda each: each.gflops)  # fmt: skip
    program = python_lines(smallest, question()).replace(", pretrained=True", "")
    namespace: dict = {}
    exec(program, namespace)
    assert namespace["logits"].shape == (2, 1000)
