"""A network that does not fit is refused with its size; one that fits is not."""

from __future__ import annotations

import pytest

from models import VARIANTS, ModelConfig
from roadmap.export import check
from roadmap.measure import effective_field, limits
from roadmap.measure.limits import (
    LIMIT,
    export_refusal,
    fields_refusal,
    measuring_refusal,
    refusal,
    run_refusal,
    running_memory,
)
from roadmap.views.builder import downloads as builder_downloads


def test_every_variant_but_the_largest_is_built():
    refused = {name for name, config in VARIANTS.items() if refusal(config, 224)}
    assert refused == {"convnext_xlarge"}
    assert "6.1 GB per image" in refusal(VARIANTS["convnext_xlarge"], 224)


def test_a_large_image_is_refused_as_large_weights_are():
    wide = ModelConfig(depths=(1,), width=256)
    assert not refusal(wide, 224)
    assert refusal(wide.replace(stem="patchify", in_channels=4096), 1024)


def test_a_batch_is_refused_in_the_mode_where_it_does_not_fit():
    resnet = ModelConfig()
    assert not run_refusal(resnet, "inference", 64, 224)
    assert "5.9 GB in training" in run_refusal(resnet, "training", 64, 224)
    assert running_memory(resnet, "training", 32, 224) < LIMIT


# What the machine has left


@pytest.fixture
def free(monkeypatch):
    return lambda found: monkeypatch.setattr(limits, "free_memory", lambda: found)


#: GB at their highest of processes that made files for images of 224 pixels (Linux, torch 2.14).
HIGHEST = {
    "kernel_7": {"safetensors": 0.60, "onnx": 0.84, "pt2": 0.76},
    "convnext_tiny": {"safetensors": 1.04, "onnx": 1.51, "pt2": 1.18},
    "resnet200": {"safetensors": 1.75, "onnx": 2.40, "pt2": 1.64},
    "convnext_large": {"safetensors": 3.75, "onnx": 5.17},
}


@pytest.mark.parametrize("name", HIGHEST)
def test_a_file_is_refused_where_making_it_would_take_all_that_is_free(free, name):
    small = ModelConfig(depths=(1, 1), width=8)
    config = small if name == "kernel_7" else VARIANTS[name]
    for form, highest in HIGHEST[name].items():
        free(int(0.98 * highest * 1e9))
        reason = export_refusal("ONNX", form, config, 224)
        assert reason.startswith("Creating the ONNX file takes about ")
        assert "GB are free on this machine" in reason
        free(int(1.3 * highest * 1e9))
        assert not export_refusal("ONNX", form, config, 224)


def test_nothing_is_refused_where_the_system_does_not_say(free):
    free(None)
    assert not export_refusal("ONNX", "onnx", VARIANTS["convnext_large"], 224)


def test_measuring_is_refused_where_nothing_is_free(free):
    config = ModelConfig()
    free(500_000_000)
    assert "0.5 GB are free" in measuring_refusal(config, "inference", 1, 224)
    assert "0.5 GB are free" in fields_refusal([config])
    free(4_000_000_000)
    assert not measuring_refusal(config, "inference", 1, 224)
    assert not fields_refusal([config, config])
    assert effective_field.IMAGE_SIZE == limits.FIELD_SIZE
    assert max(check.BATCHES) == limits.CHECKED_IMAGES
    assert set(limits.EXPORTING) == set(builder_downloads.MADE)
