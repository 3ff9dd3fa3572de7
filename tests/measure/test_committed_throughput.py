"""The committed speeds: the same networks in every setting, with what is needed to trust them.

A new step may lack speeds, which take a GPU; ``make measured`` runs the test that demands them.
"""

import pytest

from roadmap import ROADMAPS
from roadmap.results import read_rows

ROWS = read_rows("measured/throughput")
ARCHITECTURE = ("resnet50", "resnet200")
SMALL = ROADMAPS["resnet50"]
LIBRARIES = {
    ("timm", "resnet50"),
    ("timm", "convnext_tiny"),
    ("timm", "swin_tiny_patch4_window7_224"),
    ("torchvision", "resnet50"),
    ("torchvision", "convnext_tiny"),
}
#: Beyond the paper: on a GPU only.
BEYOND = {("timm", "convnextv2_tiny")}


def steps(roadmap):
    return {(roadmap, key) for key in ROADMAPS[roadmap].keys}


def networks(**wanted):
    return {
        (row["source"], row["name"])
        for row in ROWS
        if all(row[column] == value for column, value in {"image_size": "224", **wanted}.items())
    }


#: The steps that have speeds on a GPU.
SMALL_STEPS, LARGE_STEPS = (networks(source=name, device="cuda") for name in ARCHITECTURE)
DEPTHWISE = {(source, key) for source, key in SMALL_STEPS if SMALL.config(key).depthwise}


def test_every_row_is_of_a_step_that_there_is():
    assert networks(source="resnet50") <= steps("resnet50")
    assert networks(source="resnet200") <= steps("resnet200")


@pytest.mark.measured
@pytest.mark.parametrize("roadmap", ARCHITECTURE)
def test_every_step_has_speeds(roadmap):
    lacking = sorted(key for _, key in steps(roadmap) - networks(source=roadmap, device="cuda"))
    assert not lacking, f"measure {lacking} as results/measured/README.md has it"


@pytest.mark.parametrize("mode", ["inference", "training"])
def test_every_network_on_a_cpu_and_on_a_gpu_eager_and_compiled(mode):
    on_gpu = {"device": "cuda", "mode": mode, "dtype": "bf16", "batch_size": "256"}
    small = SMALL_STEPS | LIBRARIES
    assert networks(**on_gpu, compiled="False") == small | LARGE_STEPS | BEYOND
    assert networks(**on_gpu, compiled="True") == small | BEYOND
    assert networks(device="cpu", mode=mode, dtype="float32", compiled="False") >= small


@pytest.mark.parametrize("compiled", ["False", "True"])
@pytest.mark.parametrize("mode", ["inference", "training"])
def test_every_step_with_pytorchs_depthwise_kernels_and_with_ours(mode, compiled):
    on_gpu = {"device": "cuda", "mode": mode, "compiled": compiled}
    assert networks(**on_gpu, depthwise="torch") >= SMALL_STEPS
    assert networks(**on_gpu, depthwise="own") - LARGE_STEPS == DEPTHWISE


def test_every_row_says_on_what_with_what_and_when():
    for row in ROWS:
        for column in ("device_name", "torch", "timm", "torchvision", "python", "date"):
            assert row[column], row


def test_every_row_is_a_median_of_enough_runs():
    for row in ROWS:
        low, median, high = (float(row[f"images_per_s{end}"]) for end in ("_p10", "", "_p90"))
        assert 0 < low <= median <= high
        assert int(row["repetitions"]) >= 10
        assert row["batch_size"] == row["batch_size_asked"]
        assert float(row["peak_memory_gb"]) > 0
