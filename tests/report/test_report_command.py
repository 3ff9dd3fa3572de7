"""``python -m roadmap report`` as people and programs call it."""

from __future__ import annotations

import csv
import io
import json
import subprocess
import sys

import pytest
from fake_runs import CHANGES, write_ablation, write_run
from typer.testing import CliRunner

from roadmap.cli import app


@pytest.fixture
def runs(tmp_path):
    write_ablation(tmp_path, CHANGES)
    return tmp_path


def report(runs, *arguments, data="tiny"):
    return CliRunner().invoke(app, ["report", "--data", data, "--runs", str(runs), *arguments])


def told(runs) -> str:
    return " ".join(report(runs).stdout.split())


def test_the_table_says_what_was_found(runs):
    result = report(runs)
    assert result.exit_code == 0, result.stderr
    lines = {line.split()[0]: line for line in result.stdout.splitlines() if line.strip()}
    assert "+1.01" in lines["kernel_7"]
    verdicts = {"kernel_7": "Gain", "gelu": "Inconclusive;", "fewer_activations": "Loss"}
    assert {step: lines[step].split()[1] for step in verdicts} == verdicts
    said = " ".join(result.stdout.split())
    assert (
        "Of 3 changes tested, 1 is a gain (Kernel size 7, +1.01 points), 1 is a loss (Fewer "
        "activations, −10.03 points) and 1 is inconclusive at this number of seeds." in said
    )
    assert "one step is 0.26 points (pooled, 8 degrees of freedom). Levene's test does not" in said
    assert (
        "As a check, a paired t-test agrees in sign and verdict on 3 of 3 changes; the standard "
        "deviation of a change is 0.10 points when paired by seed and 0.37 points unpaired." in said
    )
    whole = "From Kernel size 5 to Fewer activations, top-1 on tiny changes by −8.97 points (95% "
    assert whole in said
    assert " 3 seeds). Of 3" in said
    assert "Over 4 steps, the rank correlation" in said
    assert "Steps without a finished run: ResNet-50 (baseline), Modern training recipe" in said
    assert (
        "Training seconds are those of the fastest run on NVIDIA H200, eager. Steps without a"
    ) in said


def test_what_the_network_alone_brought_is_told(tmp_path):
    write_ablation(tmp_path, {"baseline": (70.0,), "training": (75.0, 75.2)})
    assert "only the network" not in told(tmp_path)
    write_ablation(tmp_path, {"gelu": (72.0, 72.3)})
    alone = "From Modern training recipe to ReLU to GELU, where only the network changes, "
    two, three = (
        f"changes by −2.95 points (95% interval {interval}, 2 seeds)."
        for interval in ("−3.73 to −2.17", "−3.49 to −2.41")
    )
    assert f"{alone}top-1 on tiny {two}" in told(tmp_path)
    write_run(tmp_path, "baseline", 1, 70.2)  # its seeds tell of the spread as well
    assert f"2 seeds). {alone}it {three}" in told(tmp_path)
    assert "From ResNet-50 (baseline) to ReLU to GELU, top-1 on tiny changes by " in told(tmp_path)


def test_which_test_was_made_and_why(tmp_path):
    two = tmp_path / "two"
    write_ablation(two, {"kernel_7": (70, 71), "gelu": (71, 70), "kernel_9": (70, 70)})
    assert "Of 2 changes tested, none is significant at this number of seeds." in told(two)
    assert "Checking that it is equal at every step requires three seeds per step." in told(two)
    wide = tmp_path / "wide"
    even = (70.0, 70.1, 70.2, 70.3, 70.4)
    write_ablation(wide, {"kernel_5": even, "kernel_7": [71 + value / 10 for value in even]})
    write_ablation(wide, {"gelu": (50, 90, 70, 60, 80)})
    assert "(Levene's test, p = 0.003), so the verdicts use Welch's t-test" in told(wide)


def test_what_the_paired_test_finds_otherwise_is_told(tmp_path):
    scores = {"kernel_5": (60.0, 70.0, 80.0), "kernel_7": (61.01, 71.0, 81.0)}
    write_ablation(tmp_path, {**scores, "gelu": (62.0, 72.0, 82.01)})
    assert "on 0 of 2 changes (the others: 2 gain); the standard deviation" in told(tmp_path)


def test_seconds_are_rounded(tmp_path):
    metrics = write_run(tmp_path, "gelu") / "metrics.csv"
    metrics.write_text(metrics.read_text().replace(",10.0\n", ",10.26\n"))
    [line] = (line for line in report(tmp_path).stdout.splitlines() if line.startswith("  gelu"))
    assert line.split()[-1] == "31"


def test_json_and_csv_hold_every_field_and_nothing_else(runs):
    rows = json.loads(report(runs, "--format", "json").stdout)
    assert [row["key"] for row in rows] == list(CHANGES)
    assert rows[0]["verdict"] is None
    assert rows[1]["change"] == pytest.approx(1.01, abs=0.005)
    assert (rows[1]["verdict"], rows[1]["previous"]) == ("gain", "kernel_5")
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
    assert "no run of resnet200 on tiny has finished." in result.stderr


def test_unfinished_runs_are_counted(runs):
    write_run(runs, "gelu", 7, done=1)
    assert "Unfinished runs, not included: 1 stopped." in told(runs)


def test_runs_of_other_data_in_the_folder_are_counted(runs):
    write_run(runs, "gelu", 7, data="other")  # in a folder of its own
    assert "other data" not in told(runs)
    for seed, status in ((8, "finished"), (9, "finished"), (10, "failed")):
        folder = write_run(runs, "gelu", seed, status=status)
        content = json.loads((folder / "run.json").read_text())
        content["data"]["name"] = "digits"
        (folder / "run.json").write_text(json.dumps(content))
    assert "left out because their data is not tiny: 2 on Digits." in told(runs)


def test_seeds_that_one_end_lacks_are_told(runs):
    write_run(runs, "kernel_5", 7, 71.0)
    assert "4 and 3 seeds). Of 3 changes" in told(runs)


def test_one_seed_is_told_as_such(tmp_path):
    write_ablation(tmp_path, {"kernel_7": [70.0], "gelu": [71.0]})
    result = report(tmp_path)
    assert "Untested; needs two seeds" in result.stdout
    assert "The best of 2 trained steps on tiny is ReLU to GELU with 71.00% top-1 (1 seed)." in (
        result.stdout
    )
    assert "No change could be tested" in result.stdout


@pytest.mark.parametrize(
    ("arguments", "data", "sentence"),
    [
        (("--roadmap", "resnet5"), "tiny", "Did you mean 'resnet50'?"),
        (
            (),
            "tinny",
            "no run was trained on data named 'tinny'. Did you mean 'tiny'? Available: tiny.",
        ),
        ((), "../tiny", "no run was trained on data named '../tiny'. Did you mean 'tiny'?"),
        (("--roadmap", "resnet200"), "tiny", "no run of resnet200 on tiny has finished."),
        (("--runs", "nowhere"), "tiny", "nowhere has no readable runs."),
        (("--output", "/dev/null/report.html"), "tiny", "/dev/null/report.html cannot be written"),
    ],
)
def test_wrong_names_are_one_sentence_and_exit_code_2(runs, arguments, data, sentence):
    result = report(runs, *arguments, data=data)
    assert result.exit_code == 2
    assert sentence in result.stderr
    assert result.stderr.startswith("Error: ")
    assert result.stderr.count("\n") == 1
    assert result.stderr.endswith((".\n", "?\n"))
    assert not result.stderr.endswith("..\n")
    assert result.stdout == ""


def test_a_folder_too_deep_or_no_file_is_one_sentence(runs):
    deep = report(runs / "tiny")
    assert deep.stderr.endswith(f"one data set; use its parent, --runs {runs}.\n")
    nowhere = report(runs, "--output", ".")
    assert nowhere.stderr == "Error: . cannot be written: Is a directory.\n"
    assert deep.exit_code == nowhere.exit_code == 2


def test_mixed_settings_are_refused(runs):
    write_run(runs, "layer_norm", epochs=4)
    result = report(runs)
    assert result.exit_code == 2
    assert "and 4 in resnet50-layer_norm-seed0" in result.stderr


@pytest.mark.parametrize("arguments", [(), ("--data",), ("--data", "tiny", "--format", "xml")])
def test_wrong_options_exit_with_2(arguments):
    assert CliRunner().invoke(app, ["report", *arguments]).exit_code == 2


def test_figures_need_neither_plotly_nor_torch_nor_pandas(runs):
    code = f"""
import sys
sys.modules.update(dict.fromkeys(("plotly", "pandas", "streamlit")))
from roadmap.cli import app
for form in ("table", "json", "csv"):
    words = ["report", "--data", "tiny", "--runs", {str(runs)!r}, "--format", form]
    app(words, standalone_mode=False)
    print("====")
assert "torch" not in sys.modules
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    *forms, _ = done.stdout.split("====")
    assert ["gain" in form for form in forms] == [True] * 3
