"""The page of methods: its figures are those of the tables."""

from __future__ import annotations

import shutil

import pages
import pytest
import streamlit as st

from roadmap import results
from roadmap.analysis.audit import audit


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
    return pages.html(pages.opened("method_page"))


def test_the_audit_is_there_row_by_row_with_what_differs():
    shown = page()
    rows = audit("resnet50") + audit("resnet200")
    assert shown.count("≠") == sum(not row.agrees for row in rows) == 3
    assert f"{sum(row.agrees for row in rows)} of the {len(rows)} GFLOPs" in shown
    assert "BatchNorm to LayerNorm: the paper prints 4.46. This network costs 4.15." in shown
    assert "Separate downsampling: the paper prints 4.49. This network costs 4.46." in shown


def test_devices_and_versions_are_those_of_the_tables(folder):
    path = folder / "measured" / "throughput.csv"
    path.write_text(path.read_text().replace("NVIDIA H200", "Some <b>GPU</b>"))
    shown = page()
    assert "Some &lt;b&gt;GPU&lt;/b&gt;" in shown
    assert "Some <b>" not in shown
    for table in ("complexity", "throughput", "app_latency"):
        for version in set(results.read_table(f"measured/{table}").get("python", [])):
            assert version in shown or table == "throughput"


def test_load_is_shown_once_it_was_measured(folder):
    path = folder / "measured" / "app_load.csv"
    path.unlink()
    assert "A class at once" not in page()
    path.write_text(
        "sessions,what,samples,median_s,p10_s,p90_s,longest_s\n10,page,9,0.4567,0,1,2\n"
    )
    st.cache_data.clear()
    shown = page()
    assert "another page" in shown
    assert ">0.46 s<" in shown


def test_without_measurements_the_rest_stands(folder):
    for name in ("throughput", "training", "memory", "app_latency"):
        (folder / "measured" / f"{name}.csv").unlink()
    shown = page()
    assert "What is not known" in shown
    assert "audited" in shown
