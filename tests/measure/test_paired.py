"""Two networks timed in turn: their order, their ratio, and what goes wrong in a sentence."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import nn

from models import ModelConfig
from roadmap.background import worker
from roadmap.measure import paired
from roadmap.measure.limits import LIMIT, comparing_refusal
from roadmap.measure.paired import PROBES, ROUNDS, Pair, compare
from roadmap.measure.throughput import WARM_UP, MeasureError, Setting

SETTING = Setting(mode="training", batch_size=2, image_size=8)


@pytest.fixture
def clock(monkeypatch):
    """The time, which stands still unless a network takes some."""
    clock = [0.0]
    monkeypatch.setattr(paired.time, "perf_counter", lambda: clock[0])
    return clock


class Slow(nn.Module):
    """One weight per class, a list to which it adds its name and the images of each call, and the
    seconds that an image takes on a clock."""

    def __init__(self, name: str, calls: list[tuple[str, int]], clock: list[float], seconds: float):
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(3))
        self.name, self.calls, self.clock, self.seconds = name, calls, clock, seconds

    def forward(self, images):
        self.calls.append((self.name, len(images)))
        self.clock[0] += self.seconds * len(images)
        return images.mean((1, 2, 3)).unsqueeze(1) * self.weight


def pair_of(
    seconds, clock, setting=SETTING, on_progress=lambda _done, _total: None
) -> tuple[Pair, list[tuple[str, int]]]:
    """The pair of two networks that take so many seconds per image, and its calls."""
    calls: list[tuple[str, int]] = []
    builds = [
        lambda name=name, one=one: Slow(name, calls, clock, one)
        for name, one in zip("ab", seconds, strict=True)
    ]
    return compare(*builds, setting, on_progress), calls


def turns(count: int, images: int) -> list[tuple[str, int]]:
    return [("a", images), ("b", images)] * count


def test_the_networks_take_turns_and_progress_counts_them(clock):
    seen = []
    pair, calls = pair_of((0.01, 0.01), clock, on_progress=lambda *progress: seen.append(progress))
    runs = 2 * (PROBES + WARM_UP + ROUNDS)
    assert calls == turns(runs // 2, 2)
    assert seen == [(done + 1, runs) for done in range(runs)]
    assert len(pair.first) == len(pair.second) == ROUNDS


@pytest.mark.parametrize(("step", "warm_up", "rounds"), [(1, 5, 10), (2, 3, 7), (20, 2, 5)])
def test_slow_networks_take_fewer_turns(clock, step, warm_up, rounds):
    seen = []
    pair, calls = pair_of(
        (step / 2, step / 2), clock, on_progress=lambda *progress: seen.append(progress)
    )
    assert calls == turns(PROBES + warm_up + rounds, 2)
    assert len(pair.first) == len(pair.second) == rounds
    assert seen[-1] == (len(calls), len(calls))


@pytest.mark.parametrize(
    ("seconds", "images", "rounds"), [(0.3, 8, 6), (0.5, 4, 7), (0.9, 2, 8), (9, 2, 5)]
)
def test_very_slow_networks_get_fewer_images(clock, seconds, images, rounds):
    """Two images at least: batch norm needs more than one value per channel."""
    setting = replace(SETTING, batch_size=8)
    pair, calls = pair_of((seconds, seconds), clock, setting)
    assert calls[:4] == turns(PROBES, 2)
    assert set(calls[4:]) == {("a", images), ("b", images)}
    assert (pair.batch_size, len(pair.first)) == (images, rounds)
    assert images == 2 or 2 * images * seconds * 7 < 45


def test_the_ratio_is_that_of_the_second_to_the_first(clock):
    pair, _ = pair_of((0.01, 0.03), clock)
    assert pair.first == pytest.approx([0.02] * ROUNDS)
    assert pair.ratios == pytest.approx((3, 3, 3))


def test_what_slows_both_networks_does_not_change_the_ratio():
    slow = (1.0, 1.0, 2.0, 4.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0)
    pair = Pair(slow, tuple(1.5 * seconds for seconds in slow), 8, "chip")
    assert pair.ratios == pytest.approx((1.5, 1.5, 1.5))


@pytest.mark.parametrize(("slowest", "busy"), [(1.2, False), (1.3, True)])
def test_a_machine_is_busy_if_the_times_vary_by_a_quarter(slowest, busy):
    varied = (1.0,) * 7 + (slowest,) * 3
    assert Pair((1.0,) * 10, varied, 8, "chip").busy is busy
    assert Pair(varied, (1.0,) * 10, 8, "chip").busy is busy


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


def test_progress_may_cancel(clock):
    def cancel(done, _):
        if done == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        pair_of((0, 0), clock, on_progress=cancel)


SMALL, WIDE = (ModelConfig(depths=(1, 1), width=width) for width in (4, 64))
REQUEST = {
    "configs": [SMALL.to_dict(), WIDE.to_dict()],
    "setting": {"batch_size": 4, "image_size": 64},
}


def test_the_worker_times_both_networks(monkeypatch):
    monkeypatch.setattr(paired, "ROUNDS", 4)
    answer = worker.compare(REQUEST, lambda _done, _total: None)
    assert 0 < answer["low"] <= answer["ratio"] <= answer["high"]
    assert min(answer["seconds"]) > 0
    assert answer["rounds"] == 4
    assert answer["kind"] in ("cpu", "cuda", "mps")


def test_the_worker_answers_with_ratio_device_and_both_times_in_order(monkeypatch):
    def compare(first, second, setting, _):
        assert (first().config, second().config) == (SMALL, WIDE)
        return Pair((2.0, 1.0, 2.0), (6.0, 3.0, 6.0), setting.batch_size // 2, "chip")

    monkeypatch.setattr(paired, "compare", compare)
    answer = worker.compare(REQUEST, lambda _done, _total: None)
    assert (answer["low"], answer["ratio"], answer["high"]) == (3, 3, 3)
    assert answer["seconds"] == [2, 6]
    assert (answer["rounds"], answer["batch_size"], answer["device"]) == (3, 2, "chip")


def test_both_networks_together_must_fit():
    config = ModelConfig(width=256)
    assert comparing_refusal((ModelConfig(depths=(1,), width=8),) * 2, 8, 32) == ""
    alone = comparing_refusal((config,), 8, 224)
    both = comparing_refusal((config, config), 8, 224)
    assert f"limit of {LIMIT / 1e9:.0f} GB" in both
    assert both != alone
