"""Several processes train what one does."""

import functools
import json
import os
import sys

import numpy as np
import pytest
from forked import Forked
from processes import children, listed
from training_runs import (
    double_gradients,
    fail_reading_at,
    on_processes,
    step_losses,
    tiny_settings,
    wait_for,
    whole_run,
)

from roadmap.errors import TrainingError
from roadmap.train.checkpoint import last_step
from roadmap.train.run import train

#: An epoch and two steps of the next.
STEPS = 13
CHANGES = {"epochs": 10, "batch_size": 128, "lr": 1e-3}


@pytest.fixture(scope="module")
def losses(tmp_path_factory):
    """The losses of a step's first training steps, on so many processes; each trained once."""

    @functools.cache
    def trained(step, processes=1, micro_batch=None):
        settings = tiny_settings(None, step=step, changes=CHANGES, micro_batch=micro_batch)
        folder = tmp_path_factory.mktemp("losses")
        return on_processes(processes, step_losses, settings, folder, STEPS)

    return trained


@pytest.mark.parametrize("step", ["separate_downsampling", "fewer_norms"])
def test_the_same_loss_curve_on_one_and_two_processes(step, losses):
    # Layer norm, and batch norm over both processes.
    one, two = losses(step), losses(step, processes=2)
    assert one[-1] < one[0] - 0.05
    assert two == pytest.approx(one, abs=1e-5)


def test_accumulation_has_the_loss_curve_of_the_whole_batch(losses):
    step = "separate_downsampling"
    assert losses(step, micro_batch=32) == pytest.approx(losses(step), abs=1e-5)


@pytest.mark.parametrize("step", ["baseline", "kernel_7"])
def test_batch_norm_with_relu_has_the_same_gradients_in_double_precision(step, tmp_path):
    # In float32 rounding decides on which side of a ReLU's kink many values fall, so that loss
    # curves part within a few steps, whatever is done about the statistics.
    settings = tiny_settings(None, step=step)
    one, two = (
        on_processes(count, double_gradients, settings, tmp_path / str(count), 8)
        for count in (1, 2)
    )
    assert one.keys() == two.keys()
    for name, value in one.items():
        scale = np.abs(value).max() + 1e-12
        assert np.abs(np.subtract(two[name], value)).max() < 1e-6 * scale, name


def test_a_torchrun_that_is_killed_takes_its_processes_with_it_and_they_save(tmp_path):
    folder = tmp_path / "run"
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    command += ["--nproc-per-node", "2", "-m", "roadmap", "train", "--output", str(folder)]
    command += ["--device", "cpu", "--scale", "pocket", "--batch-size", "128", "--epochs", "1000"]
    launcher = Forked(command, env={**os.environ, "OMP_NUM_THREADS": "1"})
    try:
        wait_for(lambda: (folder / "metrics.csv").exists() or launcher.poll() is not None)
        processes = children(launcher.pid)
    finally:
        launcher.kill()
        launcher.wait()
    assert len(processes) == 2
    wait_for(lambda: not processes & {process.pid for process in listed()})
    assert json.loads((folder / "run.json").read_text())["status"] == "interrupted"
    assert last_step(folder / "checkpoints")


def test_two_processes_continue_what_one_began(tmp_path, monkeypatch):
    def settings(name):
        changes = {"epochs": 1, "warmup_epochs": 0, "lr": 2e-3}
        return tiny_settings(tmp_path / name, recipe=None, changes=changes, checkpoint_every=0)

    alone = train(settings("one"))
    with monkeypatch.context() as patch, pytest.raises(TrainingError):
        fail_reading_at(patch, 4)
        train(settings("two"))
    said = on_processes(2, whole_run, settings("two"), tmp_path / "said")
    assert "resuming after step 4 of 11" in said
    two = json.loads((tmp_path / "two" / "run.json").read_text())
    assert (alone["processes"], two["processes"]) == (1, 2)
    assert two["scores"]["val_loss"] == pytest.approx(alone["scores"]["val_loss"], abs=1e-4)
    rows = [(tmp_path / name / "metrics.csv").read_text().splitlines() for name in ("one", "two")]
    losses = [float(row[1].split(",")[2]) for row in rows]
    assert losses[0] == pytest.approx(losses[1], abs=1e-5)
