"""``benchmarks/gpu.py`` compiles side by side and times alone, here without a GPU."""

from __future__ import annotations

import sys
import time
from itertools import product

import gpu
import pytest
import torch

from roadmap.tables import results


@pytest.fixture
def log(monkeypatch, tmp_path):
    """The events of all processes: when each begins and ends to compile, and to be timed."""
    path = tmp_path / "log"

    def noted(*event):
        with path.open("a") as file:
            file.write(" ".join(map(str, event)) + "\n")

    def prepared(_way, setting, names):
        noted("compile", setting.batch_size)
        time.sleep(0.01 * setting.batch_size)
        if setting.batch_size == 3:
            raise RuntimeError("out of memory")
        noted("compiled", setting.batch_size)
        return {name: lambda: None for name in names}

    def timed(steps, rounds):
        noted("time", chosen["gpu"])
        time.sleep(0.02)
        noted("timed", chosen["gpu"])
        return {name: [float(1 + place)] * rounds for place, name in enumerate(steps)}

    chosen = {}
    monkeypatch.setattr(gpu, "prepared", prepared)
    monkeypatch.setattr(gpu, "timed", timed)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "set_device", lambda index: chosen.update(gpu=index))
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda: "a GPU")
    monkeypatch.setattr(torch.cuda, "empty_cache", lambda: None)
    monkeypatch.setattr(results, "RESULTS", tmp_path)
    (tmp_path / "measured").mkdir()
    for name in gpu.ENVIRONMENT:
        monkeypatch.setenv(name, "")
    return path


def measure(monkeypatch, *options: str) -> None:
    monkeypatch.setattr(sys, "argv", ["gpu.py", *options])
    gpu.main()


def test_all_compile_before_one_after_the_other_is_timed(log, monkeypatch, capsys):
    sizes = ("1", "2", "3", "4", "5", "6")
    options = ("--ways", "compiled", "--modes", "inference", "--dtypes", "bf16")
    with pytest.raises(SystemExit, match="1 of 6 settings failed"):
        measure(monkeypatch, *options, "--at-once", "6", "--batch-sizes", *sizes)
    events = [line.split() for line in log.read_text().splitlines()]
    what = [event for event, _ in events]
    assert what[: len(what) - 10].count("compiled") == 5
    for index in "01":
        on_it = [event for event, where in events if event.startswith("time") and where == index]
        assert on_it == ["time", "timed"] * (len(on_it) // 2)
        assert len(on_it) in (4, 6)
    rows = results.read_rows("measured/gpu")
    assert {(row["network"], row["ratio"]) for row in rows} == {
        ("ours", "1.0"),
        ("torch's kernels", "2.0"),
        ("timm", "3.0"),
    }
    assert sorted({row["batch_size"] for row in rows}) == ["1", "2", "4", "5", "6"]
    assert "compiled\tinference\tbf16\t3\tfailed: out of memory" in capsys.readouterr().out


def test_a_table_larger_than_the_machine_is_measured_in_parts(log, monkeypatch):
    measure(
        monkeypatch,
        *("--ways", "compiled", "graphs", "--dtypes", "bf16", "--at-once", "2"),
        *("--batch-sizes", "1", "2", "--networks", "ours"),
    )
    events = [line.split()[0] for line in log.read_text().splitlines()]
    assert [events[first : first + 8].count("timed") for first in range(0, 32, 8)] == [2] * 4
    places = {(row["way"], row["mode"]) for row in results.read_rows("measured/gpu")}
    assert places == {*product(("compiled", "graphs"), ("inference", "training"))}
