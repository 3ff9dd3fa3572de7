"""The figures that a run publishes while it trains."""

from __future__ import annotations

import dataclasses
import json
import signal

import pytest
from training_runs import Child, signal_at_step, tiny_settings

from roadmap.runs.live import LIVE, MOST_POINTS, Live, read_live, remove_live, write_live
from roadmap.train import live
from roadmap.train.live import LiveFigures
from roadmap.train.run import train
from roadmap.train.trainer import Sums, Trainer


@pytest.fixture
def clock(monkeypatch):
    """Seconds that pass only when a test says so."""
    now = [100.0]
    monkeypatch.setattr("roadmap.train.live.time.perf_counter", lambda: now[0])
    return now


def test_a_point_is_the_mean_loss_since_the_last_one_and_epochs_do_not_mix(tmp_path, clock):
    figures = LiveFigures(tmp_path, 0, 20, 10)
    totals = {1: (30.0, 10), 2: (50.0, 20), 3: (60.0, 30)}  # of the first epoch: loss, images
    for step, (loss, images) in totals.items():
        figures.note(step, Sums(loss, 5.0, images, None), 7.0)
        clock[0] += 2
    figures.note(11, Sums(4.0, 8.0, 10, None), 9.0)
    found = read_live(tmp_path)
    assert found.points == ((2, 2.5), (3, 1.0), (11, 0.4))
    assert (found.step, found.steps, found.steps_per_epoch) == (11, 20, 10)
    assert (found.loss, found.images_per_s) == (0.4, 9.0)
    assert found.seconds_left == pytest.approx(9 * 6 / 10)  # 10 steps in 6 seconds; 9 are left


def test_epochs_of_one_step_or_of_as_many_images_are_told_apart(tmp_path, clock):
    """Their sums have the same number of images, or more than the last ones of the epoch before."""
    figures = LiveFigures(tmp_path, 0, 3, 1)
    for step, loss in enumerate((128.0, 64.0, 32.0), 1):
        clock[0] += 2
        figures.note(step, Sums(loss, 1.0, 64, None), 10.0 * step)
    found = read_live(tmp_path)
    assert found.points == ((1, 2.0), (2, 1.0), (3, 0.5))
    assert (found.step, found.loss, found.images_per_s, found.seconds_left) == (3, 0.5, 30.0, 0)
    figures = LiveFigures(tmp_path / "long", 0, 20, 10)
    (tmp_path / "long").mkdir()
    for step, sums in ((1, Sums(30.0, 1.0, 10, None)), (13, Sums(60.0, 1.0, 30, None))):
        clock[0] += 2
        figures.note(step, sums, 1.0)
    assert read_live(tmp_path / "long").points == ((1, 3.0), (13, 2.0))


def test_nothing_is_written_within_a_second_or_before_new_sums_arrive(tmp_path, clock):
    figures = LiveFigures(tmp_path, 0, 20, 10)
    figures.note(1, Sums(3.0, 1.0, 2, None), 1.0)
    clock[0] += 0.9
    figures.note(2, Sums(4.0, 1.0, 4, None), 1.0)
    assert read_live(tmp_path) is None
    clock[0] += 0.2
    figures.note(3, Sums(6.0, 1.0, 6, None), 1.0)
    clock[0] += 5
    figures.note(4, Sums(6.0, 1.0, 6, None), 1.0)
    figures.note(5, Sums(float("nan"), 1.0, 8, None), 1.0)
    assert read_live(tmp_path).step == 3


def test_a_long_run_keeps_its_whole_curve_in_few_points(tmp_path, clock):
    figures = LiveFigures(tmp_path, 0, 10_000, 10_000)
    for step in range(1, 700):
        clock[0] += 2
        figures.note(step, Sums(float(step), 0.0, step, None), 1.0)
    points = read_live(tmp_path).points
    assert MOST_POINTS / 2 <= len(points) <= MOST_POINTS
    assert points[-1][0] == 699
    assert points[0][0] < 20


def test_a_folder_that_cannot_be_written_stops_nothing(tmp_path, clock):
    figures = LiveFigures(tmp_path / "gone", 0, 20, 10)
    clock[0] += 2
    figures.note(1, Sums(3.0, 1.0, 2, None), 1.0)
    assert read_live(tmp_path / "gone") is None


@pytest.mark.usefixtures("few_digits")
def test_figures_that_a_gpu_has_only_at_the_end_of_a_short_epoch_are_published(
    tmp_path, monkeypatch
):
    monkeypatch.setattr(live, "EVERY", 0.0)
    monkeypatch.setattr(Trainer, "known_sums", lambda trainer: trainer._known)  # until waited for
    written = []
    monkeypatch.setattr(live, "write_live", lambda _, figures: written.append(figures))
    changes = {"epochs": 3, "warmup_epochs": 0, "batch_size": 148}
    train(tiny_settings(tmp_path / "run", changes=changes), quiet=True)
    assert [figures.step for figures in written] == [1, 2, 3]


FIGURES = Live(
    step=2,
    steps=9,
    steps_per_epoch=3,
    loss=0.5,
    images_per_s=7,
    seconds_left=4.0,
    points=((1, 2.0),),
)


def test_figures_are_read_as_written_until_they_are_removed(tmp_path):
    write_live(tmp_path, FIGURES)
    assert read_live(tmp_path) == FIGURES
    assert [path.name for path in tmp_path.iterdir()] == [LIVE]
    remove_live(tmp_path)
    assert read_live(tmp_path) is None
    remove_live(tmp_path / "missing")
    write_live(tmp_path / "missing", FIGURES)


@pytest.mark.parametrize("value", [0, -1, 2**63, 1.5, True, "3", None, float("inf")])
def test_steps_that_cannot_be_counted_are_refused(value, tmp_path):
    for change in ({"step": value}, {"steps": value}, {"points": ((value, 1.0),)}):
        write_live(tmp_path, dataclasses.replace(FIGURES, **change))
        assert read_live(tmp_path) is None


@pytest.mark.parametrize("value", [float("nan"), float("inf"), True, "3", [1]])
def test_figures_that_are_no_numbers_are_refused(value, tmp_path):
    names = ("loss", "images_per_s", "seconds_left")
    for change in (*({name: value} for name in names), {"points": ((1, value),)}):
        write_live(tmp_path, dataclasses.replace(FIGURES, **change))
        assert read_live(tmp_path) is None


def test_the_largest_number_of_steps_is_read(tmp_path):
    write_live(tmp_path, largest := dataclasses.replace(FIGURES, steps=2**63 - 1, step=1))
    assert read_live(tmp_path) == largest


def publish_every_step_until(step: int) -> None:
    """In a process that trains: it is asked to stop in step ``step``, if there is one."""
    live.EVERY = 0.0
    signal_at_step(step, signal.SIGTERM)


def test_a_run_publishes_its_figures_continues_them_and_removes_them_at_the_end(tmp_path):
    folder = tmp_path / "run"
    settings = tiny_settings(folder, changes={"epochs": 1, "warmup_epochs": 0})
    Child(settings, publish_every_step_until, 3).join()
    found = read_live(folder)
    assert len(found.points) > 1
    assert found.steps == found.steps_per_epoch == 11
    assert found.images_per_s > 0
    assert found.seconds_left > 0
    Child(settings, publish_every_step_until, 6).join()
    later = read_live(folder)
    assert later.points[-1][0] > found.points[-1][0]
    assert later.points[: len(found.points)] == found.points
    Child(settings, publish_every_step_until, 99).join()
    assert not (folder / LIVE).exists()
    assert json.loads((folder / "run.json").read_text())["status"] == "finished"
