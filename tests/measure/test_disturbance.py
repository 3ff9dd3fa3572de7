"""Other work is told from our own; its amount is given here, not made."""

from __future__ import annotations

import os

import pytest

from roadmap.measure import disturbance
from roadmap.measure.disturbance import CpuWatch, disturbed, gpu_use


@pytest.mark.parametrize(
    ("device", "cpu", "gpu", "spread", "reason"),
    [
        ("cpu", 0.05, None, 1.1, ""),
        ("cpu", 0.5, None, 1.1, "other processes used 50% of the machine's cores"),
        ("cpu", None, None, 1.1, ""),  # unknown is not busy
        ("cpu", 0.0, None, 2.0, "the slowest runs took 2.0 times as long as the fastest"),
        ("cuda", 0.5, 0.0, 1.0, ""),  # a core is free to start kernels
        ("cuda", 0.9, 0.0, 1.0, "other processes used 90% of the machine's cores"),
        ("cuda", 0.0, 40.0, 1.0, "other processes used 40% of the GPU"),
        ("cuda", 0.0, 3.0, 1.0, ""),
        ("cuda", 0.0, None, 1.5, "the slowest runs took 1.5 times as long as the fastest"),
        ("mps", 0.2, None, 1.0, ""),
    ],
)
def test_what_counts_as_disturbed(device, cpu, gpu, spread, reason):
    assert disturbed(device, cpu, gpu, spread) == reason


class Machine:
    """A machine with 4 cores whose counters are set by hand."""

    def __init__(self, tmp_path, monkeypatch):
        self.stat = tmp_path / "stat"
        self.clock = self.own = 0.0
        monkeypatch.setattr(disturbance, "STAT", self.stat)
        monkeypatch.setattr(disturbance.os, "cpu_count", lambda: 4)
        monkeypatch.setattr(disturbance.os, "times", self._times)
        monkeypatch.setattr(disturbance.time, "monotonic", lambda: self.clock)
        self.busy(0)

    def busy(self, seconds: float) -> None:
        ticks = round(seconds * os.sysconf("SC_CLK_TCK"))
        self.stat.write_text(f"cpu  {ticks} 0 0 99999 77 0 0 0 0 0\ncpu0 1 2 3\n")

    def _times(self):
        return os.times_result((self.own, 0.0, 0.0, 0.0, 0.0))


@pytest.fixture
def machine(tmp_path, monkeypatch):
    return Machine(tmp_path, monkeypatch)


@pytest.mark.parametrize(
    ("busy", "own", "others"), [(20, 20, 0.0), (30, 20, 0.25), (40, 0, 1.0), (10, 12, 0.0)]
)
def test_the_share_of_others_is_what_is_not_our_own(machine, busy, own, others):
    watch = CpuWatch()
    machine.clock, machine.own = 10.0, own
    machine.busy(busy)
    assert watch.others() == pytest.approx(others)


def test_a_system_without_counters_says_nothing(machine):
    machine.stat.unlink()
    assert CpuWatch().others() is None


def test_damaged_counters_say_nothing(machine):
    machine.stat.write_text("cpu  a b\n")
    assert CpuWatch().others() is None


def nvidia_smi(folder, text: str) -> None:
    folder.mkdir(exist_ok=True)
    program = folder / "nvidia-smi"
    program.write_text(f'#!/bin/sh\necho "$@" > {folder}/asked\nprintf "{text}"\n')
    program.chmod(0o755)


@pytest.mark.parametrize(
    ("text", "use"),
    [("37\\n", 37.0), ("", None), ("[N/A]\\n", None), ("No devices found\\n", None)],
)
def test_the_gpus_use_is_what_nvidia_smi_says(tmp_path, monkeypatch, text, use):
    nvidia_smi(tmp_path / "bin", text)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3,5")
    assert gpu_use() == use
    assert "--id=3 --query-gpu=utilization.gpu" in (tmp_path / "bin" / "asked").read_text()


def test_without_nvidia_smi_the_use_is_unknown(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert gpu_use() is None
