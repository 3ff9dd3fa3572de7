"""Every candidate exists, has a source of its accuracy, and is known to its library."""

from __future__ import annotations

import pytest
import timm
from torchvision import models

import roadmap.timm_models  # noqa: F401 - registers steps and sizes
from models import VARIANTS, ModelConfig
from roadmap.find.answer import timm_name
from roadmap.find.candidates import PRETRAINING, TABLE, VALIDATION, candidates, of_config
from roadmap.measure.networks import check
from roadmap.tables.results import read_rows


def test_each_network_and_its_weights_exist_in_the_library():
    for each in candidates():
        check(each.network)
        if name := timm_name(each):
            assert not each.weights or timm.models.is_model_pretrained(name), name
        elif each.source == "torchvision":
            assert each.weights in [w.name for w in models.get_model_weights(each.name)]


def test_every_accuracy_has_its_test_set():
    assert {row["test_set"] for row in read_rows(TABLE)} == {VALIDATION}
    assert {each.test_set for each in candidates()} == {VALIDATION}
    assert of_config(VARIANTS["convnext_tiny"]).test_set == ""


def test_torchvisions_figures_are_those_of_the_library():
    rows = [row for row in read_rows(TABLE) if row["source"] == "torchvision"]
    assert len(rows) > 30
    for row in rows:
        weights = models.get_weight(f"{_enum(row['name'])}.{row['weights']}")
        figures = weights.meta["_metrics"]["ImageNet-1K"]
        assert float(row["top1"]) == pytest.approx(figures["acc@1"])
        assert float(row["gflops"]) == pytest.approx(weights.meta["_ops"], abs=0.006)
        assert int(row["image_size"]) == weights.transforms.keywords["crop_size"]


def _enum(name: str) -> str:
    return models.get_model_weights(name).__name__


def test_timms_figures_agree_with_the_table_of_sizes():
    """Both tables quote timm's results; they were copied at different times."""
    here = {
        (f"{row['name']}.{row['weights']}", row["image_size"]): float(row["top1"])
        for row in read_rows(TABLE)
        if row["source"] == "timm"
    }
    there = {
        (row["model"], row["img_size"]): float(row["top1"])
        for row in read_rows("paper/published_models")
    }
    both = set(here) & set(there)
    assert len(both) > 10
    assert {place: here[place] for place in both} == {
        place: pytest.approx(there[place], abs=0.011) for place in both
    }


def test_places_are_unique_and_the_most_accurate_weights_are_kept():
    found = candidates()
    places = [each.place for each in found]
    assert len(places) == len(set(places))
    top1 = {each.place: each.top1 for each in found}
    for row in read_rows(TABLE):
        assert float(row["top1"]) <= top1[row["source"], row["name"], int(row["image_size"])]
    accuracies = [each.top1 for each in found]
    assert accuracies == sorted(accuracies, reverse=True)
    assert {each.pretraining for each in found} <= set(PRETRAINING)


def test_our_sizes_have_timms_weights_and_steps_have_none():
    by_place = {each.place: each for each in candidates()}
    ours, theirs = (by_place[source, "convnext_tiny", 224] for source in ("variant", "timm"))
    assert (ours.top1, ours.weights) == (theirs.top1, theirs.weights)
    assert by_place["resnet200", "fewer_norms", 224].weights == ""
    assert ("resnet50", "separate_downsampling", 224) not in by_place  # it is convnext_tiny


def test_a_config_is_named_by_its_content():
    tiny = VARIANTS["convnext_tiny"]
    assert of_config(tiny).name == of_config(ModelConfig.from_json(tiny.to_json())).name
    assert of_config(tiny).name != of_config(tiny.replace(kernel_size=5)).name
    assert of_config(tiny).top1 is None
    with pytest.raises(ValueError, match="small"):
        of_config(tiny, 8)
