"""``python -m roadmap report`` as people and programs call it."""

from __future__ import annotations

import csv
import io
import json
import subprocess
import sys

import pytest
from fake_runs import write_ablation, write_run
from typer.testing import CliRunner

from roadmap.cli import app

SCORES = {
    "kernel_5": (69.0, 69.4, 68.8),
    "kernel_7": (70.02, 70.4, 69.81),
    "gelu": (70.1, 70.3, 70.0),
    "fewer_activations": (60.0, 60.38, 59.92),
}


@pytest.fixture
def runs(tmp_path):
    write_ablation(tmp_path, SCORES)
    return tmp_path


def report(runs, *arguments, data="tiny"):
    return CliRunner().invoke(app, ["report", "--data", data, "--runs", str(runs), *arguments])


def test_the_table_says_what_was_found(runs):
    result = report(runs)
    assert result.exit_code == 0, result.stderr
    lines = {line.split()[0]: line for line in result.stdout.splitlines() if line.strip()}
    assert "+1.01" in lines["kernel_7"]
    assert "real gain" in lines["kernel_7"]
    assert "could be noise" in lines["gelu"]
    assert "real loss" in lines["fewer_activations"]
    said = " ".join(result.stdout.split())
    assert (
        "Of 3 changes tested, 1 is a real gain (Kernel size 7, +1.01 points), 1 is a real loss "
        "and 1 could be noise at this number of seeds." in said
    )
    assert (
        "points), 2 of 3 stand out: Kernel size 7 +1.01 and Fewer activations −10.03 (their own: "
        "0.01 to 0.10). The verdicts do not" in said
    )
    assert "From Kernel size 5 to Fewer activations, top-1 on tiny falls by 8.97 points" in said
    assert "Over 4 steps, the rank correlation" in said
    assert "Without a finished run: baseline, training" in said


def test_what_the_network_alone_brought_is_told(tmp_path):
    write_ablation(tmp_path, {"baseline": (70.0, 70.2), "training": (75.0, 75.2)})
    assert "under one recipe" not in report(tmp_path).stdout
    write_ablation(tmp_path, {"gelu": (72.0, 72.3)})
    said = " ".join(report(tmp_path).stdout.split())
    assert "top-1 on tiny rises by 2.05 points" in said
    assert (
        "; from Modern training recipe on, under one recipe, it falls by 2.95 points (95% interval"
        in said
    )


def test_json_and_csv_hold_every_field_and_nothing_else(runs):
    rows = json.loads(report(runs, "--format", "json").stdout)
    assert [row["key"] for row in rows] == list(SCORES)
    assert rows[0]["verdict"] is None
    assert rows[1]["change"] == pytest.approx(1.01, abs=0.005)
    assert (rows[1]["verdict"], rows[1]["previous"], rows[1]["pairs"]) == (
        "real gain",
        "kernel_5",
        3,
    )
    table = list(csv.DictReader(io.StringIO(report(runs, "--format", "csv").stdout)))
    assert list(table[0]) == list(rows[0])
    assert float(table[1]["p_holm"]) == rows[1]["p_holm"]
    assert table[0]["p"] == ""


@pytest.mark.parametrize("form", ["table", "json", "csv"])
def test_unreadable_folders_are_told_apart_from_the_figures(runs, form):
    (runs / "tiny" / "resnet50-gelu-seed9").mkdir()
    result = report(runs, "--format", form)
    assert result.exit_code == 0
    assert "resnet50-gelu-seed9: There is no run.json." in result.stderr
    assert "seed9" not in result.stdout


def test_unreadable_folders_are_told_where_they_leave_nothing(runs):
    (runs / "tiny" / "resnet200-gelu-seed0").mkdir()
    result = report(runs, "--roadmap", "resnet200")
    assert result.exit_code == 2
    assert "resnet200-gelu-seed0: There is no run.json." in result.stderr
    assert "no run of resnet200 on tiny is finished." in result.stderr


def test_unfinished_runs_are_counted(runs):
    write_run(runs, "gelu", 7, done=1)
    assert "not finished: 1 stopped." in " ".join(report(runs).stdout.split())


def test_seeds_that_the_step_before_lacks_are_told(runs):
    write_run(runs, "gelu", 7, 71.0)
    said = " ".join(report(runs).stdout.split())
    assert "only that the step before has too: gelu (3 of 4)." in said


def test_one_seed_is_told_as_such(tmp_path):
    write_ablation(tmp_path, {"kernel_7": [70.0], "gelu": [71.0]})
    result = report(tmp_path)
    assert "one seed only: no test" in result.stdout
    assert "The best of 2 trained steps on tiny is ReLU to GELU with 71.00% top-1 (1 seed)." in (
        result.stdout
    )
    assert "No change could be tested" in result.stdout


@pytest.mark.parametrize(
    ("arguments", "data", "sentence"),
    [
        (("--roadmap", "resnet5"), "tiny", "Did you mean 'resnet50'?"),
        ((), "tinny", "no run is on data named 'tinny'. Did you mean 'tiny'? There are: tiny."),
        (("--roadmap", "resnet200"), "tiny", "no run of resnet200 on tiny is finished."),
        (("--runs", "nowhere"), "tiny", "nowhere holds no run that can be read."),
        (("--output", "/dev/null/report.html"), "tiny", "/dev/null/report.html cannot be written"),
    ],
)
def test_wrong_names_are_one_sentence_and_exit_code_2(runs, arguments, data, sentence):
    result = report(runs, *arguments, data=data)
    assert result.exit_code == 2
    assert sentence in result.stderr
    assert result.stderr.startswith("Error: ")
    assert result.stderr.count("\n") == 1
    assert result.stdout == ""


def test_mixed_settings_are_refused(runs):
    write_run(runs, "layer_norm", epochs=4)
    result = report(runs)
    assert result.exit_code == 2
    assert "and 4 in resnet50-layer_norm-seed0" in result.stderr


@pytest.mark.parametrize("arguments", [(), ("--data",), ("--data", "tiny", "--format", "xml")])
def test_wrong_options_exit_with_2(arguments):
    assert CliRunner().invoke(app, ["report", *arguments]).exit_code == 2


@pytest.mark.parametrize("form", ["table", "json", "csv"])
def test_figures_need_neither_plotly_nor_torch_nor_pandas(runs, form):
    code = (
        "import sys\n"
        "sys.modules.update(dict.fromkeys(('plotly', 'pandas', 'streamlit')))\n"
        "from roadmap.cli import app\n"
        f"app(['report', '--data', 'tiny', '--runs', {str(runs)!r}, '--format', {form!r}], "
        "standalone_mode=False)\n"
        "assert 'torch' not in sys.modules"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert "real gain" in done.stdout
