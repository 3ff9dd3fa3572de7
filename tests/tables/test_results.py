import math
import shutil
from pathlib import Path

import pandas as pd
import pytest

from roadmap import ROADMAPS
from roadmap.analysis.audit import audit
from roadmap.steps import BEYOND
from roadmap.tables import results
from roadmap.tables.results import (
    RESULTS,
    ResultsError,
    find_committed,
    merge_rows,
    read_rows,
    roadmap_table,
    step_rows,
    write_rows,
)


@pytest.mark.parametrize("name", ROADMAPS)
def test_tables_hold_every_step_in_order(name):
    table = roadmap_table(name)
    assert list(table["key"]) == list(ROADMAPS[name].keys)
    assert table[["gflops", "params", "receptive_field"]].notna().all(axis=None)
    assert list(table["top1"].notna()) == [group != BEYOND for group in table["group"]]
    plain = step_rows(name)
    assert [row["key"] for row in plain] == list(table["key"])
    assert [row["top1"] for row in plain] == [t if t == t else None for t in table["top1"]]
    assert [row["gflops"] for row in plain] == list(table["gflops"])


def test_standard_deviations_only_where_the_paper_has_them():
    assert math.isnan(roadmap_table("resnet50").loc["baseline", "top1_std"])
    assert roadmap_table("resnet50").loc["gelu", "top1_std"] == 0.14
    assert roadmap_table("resnet200")["top1_std"].isna().all()


def test_a_missing_table_is_named():
    with pytest.raises(ResultsError, match=r"results/measured/nothing\.csv is missing"):
        read_rows("measured/nothing")
    with pytest.raises(ResultsError, match="Did you mean 'resnet50'"):
        roadmap_table("resnet51")


@pytest.mark.parametrize("read", [step_rows, roadmap_table, audit])
def test_a_step_that_is_not_counted_yet_is_named_with_the_command(read, tmp_path, monkeypatch):
    shutil.copytree(RESULTS, tmp_path / "results", ignore=shutil.ignore_patterns("runs"))
    table = tmp_path / "results" / "measured" / "complexity.csv"
    lines = table.read_text().splitlines(keepends=True)
    table.write_text("".join(line for line in lines if not line.startswith("resnet200,gelu,")))
    monkeypatch.setattr(results, "RESULTS", tmp_path / "results")
    with pytest.raises(ResultsError, match="profile --roadmap resnet200 --step gelu --save"):
        read("resnet200")


def test_writing_is_whole_or_not_at_all(tmp_path, monkeypatch):
    monkeypatch.setattr("roadmap.tables.results.RESULTS", tmp_path)
    write_rows("a/table", [{"x": 1}])
    assert read_rows("a/table") == [{"x": "1"}]

    def rows():
        yield {"x": 2}
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_rows("a/table", rows())
    with pytest.raises(ValueError, match="fields not in fieldnames"):
        write_rows("a/table", [{"x": 2}, {"y": 3}])
    assert read_rows("a/table") == [{"x": "1"}]
    assert [path.name for path in (tmp_path / "a").iterdir()] == ["table.csv"]


def test_an_installed_package_writes_to_the_working_directory_alone(tmp_path, monkeypatch):
    package, here = tmp_path / "package", tmp_path / "here"
    monkeypatch.setattr(results, "RESULTS", package / "results")
    write_rows("a/table", [{"x": 1, "y": 1}, {"x": 2, "y": 2}])
    here.mkdir()
    monkeypatch.chdir(here)
    monkeypatch.setattr(results, "INSTALLED", True)
    assert [row["y"] for row in read_rows("a/table")] == ["1", "2"]
    written = merge_rows("a/table", ("x",), [{"x": 2, "y": 3}])
    assert written == here / "results" / "a" / "table.csv"
    assert [row["y"] for row in read_rows("a/table")] == ["1", "3"]
    monkeypatch.setattr(results, "INSTALLED", False)
    assert [row["y"] for row in read_rows("a/table")] == ["1", "2"]


def test_a_committed_file_is_found_from_another_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    design = Path("results/designs/digits.json")
    assert find_committed(design) == RESULTS / "designs" / "digits.json"
    for other in ("results/designs/mine.json", "pyproject.toml", "results/../pyproject.toml"):
        assert find_committed(Path(other)) == Path(other)
    design.parent.mkdir(parents=True)
    design.touch()
    assert find_committed(design) == design  # one's own goes first


def test_every_paper_table_has_its_source():
    """The README beside the tables names each and where it is from."""
    readme = (RESULTS / "paper" / "README.md").read_text()
    tables = sorted(Path(RESULTS / "paper").glob("*.csv"))
    assert len(tables) > 5
    for path in tables:
        assert f"`{path.name}`" in readme, path.name


def test_of_two_speeds_the_one_with_our_kernels_counts():
    table = results.throughput_table()
    row = table.iloc[[0]].assign(source="resnet50", name="kernel_7")
    rows = [
        row.assign(depthwise="own", images_per_s=3.0),
        row.assign(depthwise="torch", images_per_s=2.0),
        row.assign(depthwise="torch", images_per_s=1.0, name="gelu"),
        row.assign(depthwise="torch", images_per_s=1.0, mode="other"),
    ]
    found = results.ours_first(pd.concat(rows, ignore_index=True))
    assert list(found["images_per_s"]) == [3.0, 1.0, 1.0]
    assert list(found["name"]) == ["kernel_7", "gelu", "kernel_7"]
