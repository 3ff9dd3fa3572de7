"""``python -m roadmap find``, without measuring: from the committed tables and given rows."""

from __future__ import annotations

import csv
import io
import json
import re

import pytest
from finder_rows import row
from typer.testing import CliRunner

from models import VARIANTS
from roadmap.cli import app
from roadmap.find import command, machine, search, store

HERE = {"cpu": "Test CPU, 2 cores"}


@pytest.fixture(autouse=True)
def this_machine(monkeypatch):
    monkeypatch.setattr(command, "devices", lambda: HERE)


def find(*options: str):
    return CliRunner().invoke(app, ["find", *options])


def h200(*options: str):
    return find("--device", "NVIDIA H200", "--batch-size", "256", *options)


def test_a_device_with_figures_is_answered_without_measuring():
    found = h200("--top1", "82")
    assert found.exit_code == 0
    answer = next(line for line in found.stdout.splitlines() if "is the fastest" in line)
    assert "on NVIDIA H200, batch 256, bf16" in answer
    assert "logits = network(images)" in found.stdout
    assert found.stderr == ""


def test_an_answer_says_how_many_networks_that_can_win_are_not_measured():
    store.add(row("hgnetv2_b3", 100, batch_size=1, batch_size_asked=1))
    left = r"\d+ of the \d+ networks that can win are not measured yet\.\n"
    assert re.search(left, find("--minutes", "0").stdout)
    assert re.fullmatch(left, find("--minutes", "0", "--format", "csv").stderr)


@pytest.mark.parametrize("part", ["h200", "H200", "nvidia h200 "])
def test_words_that_only_one_device_has_are_its_name(part):
    named, whole = (find("--device", one, "--minutes", "0") for one in (part, "NVIDIA H200"))
    assert named.stdout == whole.stdout
    assert "Device: NVIDIA H200." in named.stderr


@pytest.mark.parametrize("part", ["2 cores", "h20", "200", " "])
def test_words_of_several_devices_and_parts_of_words_are_refused(part):
    found = find("--device", part)
    assert found.exit_code == 2
    assert "Available: auto; cpu; NVIDIA H200;" in found.stderr


def test_zero_minutes_ask_for_no_device_of_this_machine(monkeypatch):
    monkeypatch.setattr(command, "devices", None)  # it starts PyTorch
    assert "is the fastest" in h200("--minutes", "0").stdout


def test_a_device_without_figures_for_the_question_says_what_it_has():
    found = find("--device", "NVIDIA H200", "--batch-size", "3")
    assert found.exit_code == 0
    assert "has been measured yet on NVIDIA H200, batch 3, bf16." in found.stdout
    [said] = [line for line in found.stdout.splitlines() if "Measured on this device" in line]
    options = said.removeprefix("Measured on this device: ").removesuffix(".").split("; ")[0]
    assert "is the fastest" in find("--device", "NVIDIA H200", *options.split()).stdout
    assert "Measured on this device" not in find("--device", "cpu", "--minutes", "0").stdout


def test_all_points_as_csv_and_json():
    rows = list(csv.DictReader(io.StringIO(h200("--format", "csv").stdout)))
    assert len(rows) > 4
    values = [float(each["latency"]) for each in rows]
    assert values == sorted(values)
    assert {each["front"] for each in rows} == {"True", "False"}
    assert {each["test_set"] for each in rows} == {"ImageNet-1K validation"}
    found = json.loads(h200("--format", "json", "--objective", "throughput").stdout)
    speeds = [each["throughput"] for each in found]
    assert speeds == sorted(speeds, reverse=True)
    assert speeds[0] == pytest.approx(256_000 / values[0], rel=1e-3)


def test_before_it_measures_it_says_what_and_how_long(monkeypatch):
    monkeypatch.setattr(command, "_run", lambda _search: None)
    found = find("--top1", "82", "--minutes", "5")
    assert found.exit_code == 0
    assert "Test CPU, 2 cores, batch 1, float32: " in found.stderr
    assert "networks to measure for at least 82.0% top-1 (0 already measured" in found.stderr
    assert "measuring stops after 5 min" in found.stderr
    assert "stops after 1.5 min" in find("--top1", "82", "--minutes", "1.5").stderr
    assert "No network with at least 82.0% top-1 has been measured yet" in found.stdout


def test_zero_minutes_answer_from_what_is_measured(monkeypatch):
    monkeypatch.setattr(command, "_run", None)  # nothing is measured
    store.add(row("hgnetv2_b3", 100, batch_size=1, batch_size_asked=1))
    found = find("--minutes", "0")
    assert "hgnetv2_b3 is the only measured network so far" in found.stdout
    assert found.stderr == ""


def test_a_config_is_measured_and_named_on_its_own(tmp_path, monkeypatch):
    path = tmp_path / "mine.json"
    path.write_text(VARIANTS["convnext_tiny"].replace(kernel_size=5).to_json())
    seen = []
    monkeypatch.setattr(command, "_run", seen.append)
    assert find("--config", str(path)).exit_code == 0
    first = seen[0].plan.order[0]
    assert (first.source, first.top1) == ("config", None)
    store.add(row(first.name, 9, source="config", batch_size=1, batch_size_asked=1))
    store.add(row("hgnetv2_b3", 18, batch_size=1, batch_size_asked=1))
    found = find("--config", str(path), "--minutes", "0")
    assert "Your config: 111 ms" in found.stdout
    assert "2.00 times worse than hgnetv2_b3" in found.stdout


def test_a_shared_file_is_added_first(tmp_path):
    path = tmp_path / "theirs.csv"
    theirs = row("hgnetv2_b3", 100, device="cuda", device_name="Their GPU", dtype="bf16")
    path.write_text(store.shared_text([theirs]))
    found = find("--add", str(path), "--device", "Their GPU", "--batch-size", "2")
    assert found.exit_code == 0
    assert f"{path}: 1 measurement added." in found.stderr
    assert "on Their GPU, batch 2, bf16" in found.stdout


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (("--device", "cuda"), "This machine has no cuda device; use cpu"),
        (("--device", "NVIDIA H20"), "Did you mean 'NVIDIA H200'?"),
        (("--device", "x" * 100_000), "Available: auto; cpu"),
        (("--config", "nowhere.json"), "nowhere.json cannot be read"),
        (("--add", "nowhere.csv"), "nowhere.csv cannot be read"),
        (("--add", "README.md"), "README.md is not a results file of the finder"),
        (("--device", "toaster"), "Available: auto; cpu; NVIDIA H200; AMD EPYC, 2 cores."),
        (("--top1", "nan"), "--top1 is nan; use 50 to 100."),
        (("--top1", "20"), "--top1 is 20; use 50 to 100."),
        (("--batch-size", "0"), "--batch-size is 0; use 1 to 4096."),
        (("--minutes", "nan"), "--minutes is nan; use 0 to 1440."),
        (("--minutes", "-1"), "--minutes is -1; use 0 to 1440."),
    ],
)
def test_wrong_values_are_one_sentence_and_exit_code_2(options, sentence):
    found = find(*options)
    assert found.exit_code == 2
    assert sentence in found.stderr
    assert found.stderr.count("\n") == 1
    assert len(found.stderr) < 2000
    assert found.stdout == ""


def test_an_unknown_precision_exits_with_2():
    found = find("--dtype", "int8")
    assert found.exit_code == 2
    assert "Traceback" not in found.stderr


def test_it_says_how_a_search_ended(monkeypatch):
    def run(found: search.Search) -> None:
        found.state = "out of time"
        found.failures["big"] = "The process was killed, probably out of memory."

    monkeypatch.setattr(command, "_run", run)
    said = find("--minutes", "1").stderr
    assert "Time is up; " in said
    assert "1 network could not be measured." in said


def test_the_devices_of_this_machine_are_asked_in_a_process():
    found = machine.devices()
    assert list(found)[-1] == "cpu"
    assert "core" in found["cpu"]
