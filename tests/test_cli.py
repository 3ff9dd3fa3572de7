import csv
import io
import json
import re
import subprocess
import sys

import pytest
import typer
from typer.testing import CliRunner

from models import VARIANTS
from roadmap import ROADMAPS, __version__
from roadmap.cli import app
from roadmap.console import Column, Format, emit, number_column
from roadmap.measure.complexity import count


def run(*arguments):
    return CliRunner().invoke(app, list(arguments))


def test_version_and_summaries_that_are_not_cut():
    assert run("--version").stdout == f"{__version__}\n"
    listed = run("--help").stdout.partition("Commands:")[2].splitlines()
    assert len(listed) > 12
    assert not [line for line in listed if line.strip() and not line.endswith(".")]
    assert "..." not in "".join(listed)


def test_help_names_values_in_plain_words():
    """No Python type, such as ``<int range>`` or ``INTEGER``; choices may be listed."""
    types = re.compile(r"<(?!=|[\w.]+(\|[\w.]+)+>)|\b(INTEGER|FLOAT|TEXT|BOOLEAN)\b")
    for name, command in typer.main.get_command(app).commands.items():
        text = run(name, "--help").stdout
        assert not types.search(text), name
        for parameter in command.params:
            assert parameter.help or parameter.hidden, (name, parameter.name)


def test_steps_for_people_and_for_programs():
    table = run("steps")
    assert table.exit_code == 0
    assert "ResNet-50 to ConvNeXt-T" in table.stdout
    rows = json.loads(run("steps", "--roadmap", "resnet200", "--format", "json").stdout)
    assert [row["key"] for row in rows][:3] == ["baseline", "training", "stage_ratio"]
    assert {row["key"]: row["top1"] for row in rows}["separate_downsampling"] == 83.60
    assert rows[-1]["top1"] is None
    text = run("steps", "--format", "csv").stdout
    assert len(list(csv.DictReader(io.StringIO(text)))) == len(ROADMAPS["resnet50"].steps)
    assert "ResNet-50 to" not in text


def test_recipe_roadmap_lists_too():
    rows = json.loads(run("steps", "--roadmap", "torchvision_recipe", "--format", "json").stdout)
    assert len(rows) == 13
    assert {row["gflops"] for row in rows} == {4.089184256}


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (
            ("steps", "--roadmap", "resnet5"),
            "Did you mean 'resnet50'? Available: resnet50, resnet200",
        ),
        (("profile", "--step", "kernel7"), "Did you mean 'kernel_7'? Available: baseline"),
        (("profile", "--model", "variant:convnext"), "Did you mean 'convnext_"),
        (("profile", "--model", "kernel_7"), "Use SOURCE:NAME"),
        (("profile", "--model", "timm:convnext_tinny"), "convnext_tiny"),
        (("profile", "--modules"), "--modules describes a single network"),
        (("profile", "--modules", "--stages"), "use only one of them"),
        (("profile", "--step", "gelu", "--modules", "--save"), "--save only stores whole steps"),
        (("profile", "--config", "c.json", "--step", "gelu"), "use only one of them"),
        (("profile", "--model", "variant:resnet50", "--roadmap", "none"), "No roadmap is named"),
        (
            ("profile", "--model", "timm:swin_tiny_patch4_window7_224", "--image-size", "200"),
            "does not run on an image of 200 pixels",
        ),
        (("profile", "--save", "--image-size", "64"), "omit --image-size"),
        (("profile", "--step", "gelu", "--image-size", "2"), "too small"),
        (("profile", "--config", "nowhere.json"), "nowhere.json cannot be read"),
        (("audit", "--roadmap", "torchvision_recipe"), "use resnet50 or resnet200"),
    ],
)
def test_wrong_names_and_values_are_one_sentence_and_exit_code_2(arguments, sentence):
    result = run(*arguments)
    assert result.exit_code == 2
    assert sentence in result.stderr
    assert result.stderr.startswith("Error: ")
    assert result.stderr.count("\n") == 1
    assert result.stdout == ""


LONG = "x" * 100_000  # Linux takes no longer an argument


@pytest.mark.parametrize(
    "arguments",
    [
        (LONG,),
        (f"--{LONG}",),
        ("steps", "--roadmap", LONG),
        ("steps", f"--{LONG}"),
        ("steps", "--format", LONG),
        ("profile", "--step", LONG),
        ("profile", "--model", LONG),
        ("profile", "--model", f"timm:{LONG}"),
        ("profile", "--model", f"variant:{LONG}"),
        ("profile", "--config", LONG),
        ("profile", "--image-size", LONG),
        ("benchmark", "--device", LONG),
        ("train", "--recipe", LONG),
        ("train", "--lr", LONG),
        ("train", "--optimizer", LONG),
        ("train", "--auto-augment", f"rand-{LONG}"),
        ("train", "--data", LONG),
        ("train", "--data", f"torch/{LONG}"),
        ("train", "--data", f"wds/{LONG}"),
        ("train", "--device", LONG, "--scale", "pocket"),
        ("train", "--scale", "pocket", "--device", "cpu", "--output", LONG),
        ("train", "--image-size", "9" * 4000),
        ("train", "--epochs", "9" * 4000, "--warmup-epochs", "9" * 4000),
        ("evaluate", "--weights", LONG),
        ("sweep", "--data", LONG, "--dry-run"),
        ("report", "--data", LONG),
        ("report", "--data", "tiny", "--runs", LONG),
        ("export", "--format", "py", "--weights", LONG),
        ("export", "--format", "hub", "--run", LONG),
        ("export", "--format", "py", "--step", "gelu", "--output", LONG),
    ],
    ids=lambda arguments: " ".join(arguments)[:40],
)
def test_messages_do_not_repeat_a_long_value(arguments):
    result = run(*arguments)
    assert result.exit_code == 2
    assert isinstance(result.exception, SystemExit)
    assert 20 < len(result.stderr) < 2000
    assert result.stdout == ""


@pytest.mark.parametrize(
    "arguments", [("steps", "--format", "xml"), ("stepps",), ("profile", "--stp")]
)
def test_wrong_options_exit_with_2(arguments):
    result = run(*arguments)
    assert result.exit_code == 2
    assert "Traceback" not in result.stderr


def test_profile_by_fvcore():
    text = run("profile", "--step", "gelu", "--format", "json").stdout
    (row,) = json.loads(text)
    assert (row["params"], row["macs"], row["conv"]) == (25863496, 4145612928, 4144844928)
    assert row["receptive_field"] == 1492


def test_profile_by_module():
    text = run("profile", "--model", "variant:convnext_tiny", "--modules", "--format", "csv").stdout
    rows = {row["module"]: row for row in csv.DictReader(io.StringIO(text))}
    cost = count(VARIANTS["convnext_tiny"])
    assert int(rows["(whole network)"]["macs"]) == cost.macs
    assert int(rows["head.fc"]["params"]) == 769_000


def test_profile_of_a_made_up_config(tmp_path):
    file = tmp_path / "mine.json"
    config = VARIANTS["convnext_tiny"].replace(kernel_size=9)
    file.write_text(config.to_json())
    (row,) = json.loads(run("profile", "--config", str(file), "--format", "json").stdout)
    assert row["macs"] == count(config).macs
    file.write_text('{"widht": 3}')
    assert "did you mean 'width'" in run("profile", "--config", str(file)).stderr
    file.write_bytes(b"\xff\xfe")
    assert "it is not a text file" in run("profile", "--config", str(file)).stderr


def test_profile_by_stage():
    rows = json.loads(run("profile", "--step", "kernel_7", "--stages", "--format", "json").stdout)
    assert [row["part"] for row in rows] == ["stem", "stage 1", "stage 2", "stage 3", "stage 4"]
    assert [row["stride"] for row in rows] == [4, 4, 8, 16, 32]
    assert rows[-1]["size"] == 1492
    refused = run("profile", "--model", "timm:resnet50", "--stages")
    assert refused.exit_code == 2
    assert "timm:resnet50 has none" in refused.stderr


def test_audit_calls_out_the_rows():
    result = run("audit")
    assert result.exit_code == 0
    assert "Table 10, BN -> LN: This network has 4.15 GFLOPs." in result.stdout
    rows = json.loads(run("audit", "--roadmap", "resnet50", "--format", "json").stdout)
    assert [row["key"] for row in rows if not row["agrees"]] == [
        "layer_norm",
        "separate_downsampling",
        "swin",
    ]


def test_as_a_program_from_anywhere(tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "roadmap", "steps", "--roadmap", "nope"],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        check=False,
    )
    assert done.returncode == 2
    assert done.stderr.startswith("Error: No roadmap is named 'nope'.")


@pytest.mark.parametrize("terminal", [False, True])
def test_long_text_cuts_no_number_of_a_table(terminal, monkeypatch, capsys):
    monkeypatch.setattr("sys.stdout.isatty", lambda: terminal)
    monkeypatch.setenv("COLUMNS", "40")
    columns = [
        Column("path", "weights"),
        number_column("top1", "top-1 %"),
        number_column("images", "images", 0),
    ]
    emit([{"path": "x" * 300, "top1": 71.25, "images": 50_000}], columns, Format.table)
    shown = capsys.readouterr().out
    assert "71.25" in shown
    assert "50,000" in shown
    assert shown.count("x") == 300
