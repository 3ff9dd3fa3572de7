"""The committed speeds: every step and reference, with what is needed to trust them."""

import pytest

from roadmap import ROADMAPS
from roadmap.results import read_rows

ROWS = read_rows("measured/throughput")
SMALL = ROADMAPS["resnet50"]
DEPTHWISE = {("resnet50", key) for key in SMALL.keys if SMALL.config(key).depthwise}
NETWORKS = {("resnet50", key) for key in SMALL.keys} | {
    ("timm", "resnet50"),
    ("timm", "convnext_tiny"),
    ("timm", "swin_tiny_patch4_window7_224"),
    ("torchvision", "resnet50"),
    ("torchvision", "convnext_tiny"),
}
LARGE = {("resnet200", key) for key in ROADMAPS["resnet200"].keys}
#: Beyond the paper: on a GPU only.
BEYOND = {("timm", "convnextv2_tiny")}


def networks(**wanted):
    return {
        (row["source"], row["name"])
        for row in ROWS
        if all(row[column] == value for column, value in {"image_size": "224", **wanted}.items())
    }


@pytest.mark.parametrize("mode", ["inference", "training"])
def test_every_network_on_a_cpu_and_on_a_gpu_eager_and_compiled(mode):
    on_gpu = {"device": "cuda", "mode": mode, "dtype": "bf16", "batch_size": "256"}
    assert networks(**on_gpu, compiled="False") == NETWORKS | LARGE | BEYOND
    assert networks(**on_gpu, compiled="True") == NETWORKS | BEYOND
    assert networks(device="cpu", mode=mode, dtype="float32", compiled="False") == NETWORKS


@pytest.mark.parametrize("compiled", ["False", "True"])
@pytest.mark.parametrize("mode", ["inference", "training"])
def test_every_step_with_pytorchs_depthwise_kernels_and_with_ours(mode, compiled):
    on_gpu = {"device": "cuda", "mode": mode, "compiled": compiled}
    steps = {("resnet50", key) for key in SMALL.keys}
    assert networks(**on_gpu, depthwise="torch") & steps == steps
    assert networks(**on_gpu, depthwise="own") - LARGE == DEPTHWISE


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
