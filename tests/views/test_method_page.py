"""The page of methods: its figures are those of the tables."""

from __future__ import annotations

import json
import re
import shutil
from html import unescape
from statistics import fmean

import pages
import pytest
import streamlit as st
import torch
from torch import nn

from models import ModernResNet
from roadmap import ROADMAPS
from roadmap.analysis.audit import audit
from roadmap.study.design import DESIGNS, read_design
from roadmap.tables import results
from roadmap.views.method import init as method_init


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A copy of the tables, to change."""
    for name in ("paper", "measured"):
        shutil.copytree(results.RESULTS / name, tmp_path / name)
    monkeypatch.setattr(results, "RESULTS", tmp_path)
    st.cache_data.clear()
    yield tmp_path
    st.cache_data.clear()


def page() -> str:
    return pages.html(pages.opened("method"))


def test_the_audit_is_there_row_by_row_with_what_differs():
    shown = page()
    rows = audit("resnet50") + audit("resnet200")
    assert shown.count("≠") == sum(not row.agrees for row in rows) == 3
    assert f"{sum(row.agrees for row in rows)} of the {len(rows)} GFLOPs" in shown
    assert "Batch norm to layer norm: the paper prints 4.46. This network has 4.15 GFLOPs." in shown
    assert "Separate downsampling: the paper prints 4.49. This network has 4.46 GFLOPs." in shown


def test_devices_and_versions_are_those_of_the_tables(folder):
    path = folder / "measured" / "throughput.csv"
    path.write_text(path.read_text().replace("NVIDIA H200", "Some <b>GPU</b>"))
    shown = page()
    assert "Some &lt;b&gt;GPU&lt;/b&gt;" in shown
    assert "Some <b>" not in shown
    for table in ("complexity", "throughput"):
        for version in set(results.read_table(f"measured/{table}").get("python", [])):
            assert version in shown or table == "throughput"


def test_the_explorers_own_speed_is_in_the_docs_alone():
    assert "Speed of the explorer" not in page()
    docs = (results.ROOT / "docs" / "explorer.md").read_text(encoding="utf-8")
    assert "app_latency.csv" in docs
    assert "app_load.csv" in docs or "app_loadcsv" in docs


def test_without_measurements_the_rest_stands(folder):
    for name in ("throughput", "training", "memory"):
        (folder / "measured" / f"{name}.csv").unlink()
    shown = page()
    assert "Which differences between consecutive steps are real" in shown
    assert "GFLOPs figures in Tables 10 and 11" in shown


def test_what_is_said_of_the_initialization_is_so():
    shown = page()
    config = ROADMAPS["resnet50"].config("layer_norm", init="default")
    torch.manual_seed(0)
    network = ModernResNet(config)
    stem, first = network.stem.conv, network.stages[0].blocks[0].branch.conv1
    assert (stem.kernel_size, first.kernel_size, first.groups) == ((4, 4), (7, 7), 96)
    deviations = [float(layer.weight.std()) for layer in (stem, first)]
    said = re.findall(r"0\.\d{3}(?= in )", shown)
    assert [float(text) for text in said] == pytest.approx(deviations, abs=0.001)
    assert stem.bias.abs().min() > 0
    ours = ModernResNet(ROADMAPS["resnet50"].config("layer_norm"))
    assert float(ours.stem.conv.weight.std()) == pytest.approx(0.02, abs=0.001)
    assert ours.stem.conv.bias.abs().max() == 0


def test_the_authors_network_of_the_last_step_lacks_what_is_said():
    config = ROADMAPS["resnet50"].config("separate_downsampling")
    with torch.device("meta"):
        ours, theirs = ModernResNet(config), ModernResNet(config.replace(layer_scale=None))
    for name, layer in list(theirs.named_modules()):
        if isinstance(layer, nn.LayerNorm) and (name == "stem.norm" or "downsample" in name):
            theirs.set_submodule(name, nn.Identity())
    counts = [sum(p.numel() for p in each.parameters()) for each in (ours, theirs)]
    assert counts[0] - counts[1] == 8160
    assert f"no layer scale, so it has {counts[0] - counts[1]:,} fewer parameters" in page()


def test_the_check_of_the_initialization_has_the_scores_of_its_runs():
    runs = results.RESULTS / "runs" / "tiny-imagenet-100"
    top1 = {
        folder.name: json.loads((folder / "run.json").read_text())["scores"]["top1"]
        for folder in runs.iterdir()
    }
    rows = method_init.check()
    assert len(rows) == 5
    for row in rows:
        path = [top1[f"resnet50-{row.step}-seed{seed}"] for seed in range(3)]
        check = [top1[f"init_check-{row.step}-lr{rate}-seed0"] for rate in ("0.002", "0.004")]
        assert row[1:] == pytest.approx((fmean(path), *check))
    first, norm = rows[0], rows[3]
    losses = [first[place] - norm[place] for place in (1, 2, 3)]
    assert losses[1] - losses[2] >= losses[0] - losses[1]  # the rate matters as much
    shown = page()
    for text in (
        *method_init.cells(rows[0]),
        f"no step moves by more than {max(abs(row.low - row.path) for row in rows):.1f} points",
        f"falls by {losses[1]:.1f} points instead of {losses[0]:.1f}",
        f"at twice the rate, it falls by {losses[2]:.1f}",
    ):
        assert text in shown
    designs = {f"{p.key}-seed{p.seed}" for p in read_design(DESIGNS / "init_check.json").points}
    assert {f"{row.step}-lr{rate}-seed0" for row in rows for rate in method_init.RATES} == designs


def test_without_the_runs_of_the_check_the_rest_stands(folder):
    assert folder / "runs" not in folder.iterdir()
    shown = page()
    assert method_init.networks()[0][:40] in unescape(shown)
    assert "do not settle" not in shown
