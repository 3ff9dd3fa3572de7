"""Two networks timed in turn: their order, their ratio, and what goes wrong in a sentence."""

from __future__ import annotations

import time

import pytest
import torch
from torch import nn

from models import ModelConfig
from roadmap.background import worker
from roadmap.measure import paired
from roadmap.measure.limits import LIMIT, comparing_refusal
from roadmap.measure.paired import ROUNDS, Pair, compare
from roadmap.measure.throughput import WARM_UP, MeasureError, Setting

SETTING = Setting(mode="training", batch_size=2, image_size=8)


class Slow(nn.Module):
    """One weight per class, a name that it writes down on each call, and a pause."""

    def __init__(self, name: str, calls: list[str], pause: float = 0.0):
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(3))
        self.name, self.calls, self.pause = name, calls, pause

    def forward(self, images):
        self.calls.append(self.name)
        time.sleep(self.pause)
        return images.mean((1, 2, 3)).unsqueeze(1) * self.weight


def pair_of(pauses, on_progress=lambda _done, _total: None) -> tuple[Pair, str]:
    calls: list[str] = []
    builds = [lambda n=name, p=pause: Slow(n, calls, p) for name, pause in zip("ab", pauses)]  # noqa: B905
    return compare(*builds, SETTING, on_progress), "".join(calls)


def test_the_networks_take_turns_and_progress_counts_them():
    seen = []
    pair, calls = pair_of((0, 0), lambda *progress: seen.append(progress))
    assert calls == "ab" * (WARM_UP + ROUNDS)
    assert seen == [(done + 1, len(calls)) for done in range(len(calls))]
    assert len(pair.first) == len(pair.second) == ROUNDS


@pytest.mark.parametrize(("step", "warm_up", "rounds"), [(1, 5, 10), (2, 3, 7), (20, 2, 5)])
def test_slow_networks_take_fewer_turns(monkeypatch, step, warm_up, rounds):
    clock = [0.0]

    def forward(self, images):
        clock[0] += step
        self.calls.append(self.name)
        return images.mean((1, 2, 3)).unsqueeze(1) * self.weight

    monkeypatch.setattr(Slow, "forward", forward)
    monkeypatch.setattr(paired.time, "perf_counter", lambda: clock[0])
    seen = []
    pair, calls = pair_of((0, 0), lambda *progress: seen.append(progress))
    assert calls == "ab" * (warm_up + rounds)
    assert len(pair.first) == len(pair.second) == rounds
    assert seen[-1] == (len(calls), len(calls))


def test_the_ratio_is_that_of_the_second_to_the_first():
    pair, _ = pair_of((0.01, 0.03))
    low, ratio, high = pair.ratios
    assert 0.01 <= min(pair.first) < 0.015
    assert 1.5 < low <= ratio <= high
    assert ratio == pytest.approx(3, rel=0.3)


def test_what_slows_both_networks_does_not_change_the_ratio():
    slow = (1.0, 1.0, 2.0, 4.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0)
    pair = Pair(slow, tuple(1.5 * seconds for seconds in slow), "chip")
    assert pair.ratios == pytest.approx((1.5, 1.5, 1.5))


@pytest.mark.parametrize(("slowest", "busy"), [(1.2, False), (1.3, True)])
def test_a_machine_is_busy_if_the_times_vary_by_a_quarter(slowest, busy):
    varied = (1.0,) * 7 + (slowest,) * 3
    assert Pair((1.0,) * 10, varied, "chip").busy is busy
    assert Pair(varied, (1.0,) * 10, "chip").busy is busy


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (RuntimeError("CUDA out of memory. Tried"), "do not fit into the memory of"),
        (MemoryError(), "do not fit into the memory of"),
        (ValueError("more than 1 value per channel"), "does not run in training at 8 x 8 pixels"),
    ],
)
def test_what_goes_wrong_is_a_sentence(error, sentence):
    def build():
        raise error

    with pytest.raises(MeasureError, match=sentence):
        compare(build, build, SETTING, lambda _done, _total: None)


def test_progress_may_cancel():
    def cancel(done, _):
        if done == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        pair_of((0, 0), cancel)


def test_the_worker_answers_with_ratio_device_and_both_times(monkeypatch):
    monkeypatch.setattr(paired, "ROUNDS", 4)
    wide, small = (ModelConfig(depths=(1, 1), width=width).to_dict() for width in (64, 4))
    request = {"configs": [small, wide], "setting": {"batch_size": 4, "image_size": 64}}
    answer = worker.compare(request, lambda _done, _total: None)
    assert answer["low"] <= answer["ratio"] <= answer["high"]
    assert answer["ratio"] > 1.5
    assert answer["seconds"][1] > answer["seconds"][0]
    assert (answer["rounds"], answer["kind"] in ("cpu", "cuda", "mps")) == (4, True)


def test_both_networks_together_must_fit():
    config = ModelConfig(width=256)
    assert comparing_refusal((ModelConfig(depths=(1,), width=8),) * 2, 8, 32) == ""
    alone = comparing_refusal((config,), 8, 224)
    both = comparing_refusal((config, config), 8, 224)
    assert f"limit of {LIMIT / 1e9:.0f} GB" in both
    assert both != alone
