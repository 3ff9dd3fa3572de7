"""Runs that are killed, stopped and hindered: what is saved, what is said, what continues."""

import errno
import json
import random
import re
import shutil
import signal

import pytest
from cases import class_folders
from training_runs import (
    Child,
    die_at_fsync,
    fail_reading_at,
    hang_at_step,
    outcome,
    signal_at_step,
    tiny_settings,
    wait_for,
)

from models.network import LayerNorm2d
from roadmap.errors import InterruptedRunError, NonFiniteError, RefusedError, TrainingError
from roadmap.runs import lock
from roadmap.train import loop
from roadmap.train.checkpoint import last_step
from roadmap.train.data.batches import DataError
from roadmap.train.evaluate import evaluate
from roadmap.train.run import train
from roadmap.train.trainer import Trainer

resource = pytest.importorskip("resource")


#: Two epochs of 22 steps of two pictures each.
LONG = {"epochs": 2, "batch_size": 2}


@pytest.fixture(scope="module")
def long_settings(tmp_path_factory):
    """Settings of a run of 44 steps in a folder, a checkpoint after each; a step takes moments."""
    data = class_folders(tmp_path_factory.mktemp("data") / "pets", counts={"train": 22, "val": 5})

    def long_settings(folder, **options):
        short = {"data": str(data), "workers": 0, "checkpoint_every": 0, "changes": LONG}
        return tiny_settings(folder, **short | options)

    return long_settings


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory, long_settings):
    """The outcome of a run without interruptions, and its seconds per step."""
    folder = tmp_path_factory.mktemp("undisturbed") / "run"
    child = Child(long_settings(folder))
    assert child.join() == 0, child.output
    content = json.loads((folder / "run.json").read_text())
    return outcome(folder), content["wall_seconds"] / content["steps"]


def test_killed_at_random_moments_ends_with_the_same_bits(undisturbed, tmp_path, long_settings):
    expected, seconds_a_step = undisturbed
    settings = long_settings(tmp_path / "run")
    rng = random.Random(20)
    checkpoints = tmp_path / "run" / "checkpoints"
    for _ in range(11):
        before = last_step(checkpoints)
        # Whoever looks rarely finds it three steps later, not at its end.
        child = Child(settings, hang_at_step, (before or 0) + 3)
        wait_for(lambda before=before: last_step(checkpoints) != before)
        child.kill_after(rng.uniform(0, 2) * seconds_a_step)
        assert child.join() == -signal.SIGKILL
    last = Child(settings)
    assert last.join() == 0, last.output
    assert "resuming after step" in last.output
    assert outcome(tmp_path / "run") == expected


def test_killed_inside_a_write_ends_with_the_same_bits(undisturbed, tmp_path, long_settings):
    settings = long_settings(tmp_path / "run")
    # A file is flushed twice, its content and its folder: run.json by flushes 1 and 2, a
    # checkpoint's tensors by 3 and 4, its seal by 5 and 6, and so on.
    for flush in (5, 3, 4, 6, 9, 12):
        assert Child(settings, die_at_fsync, flush).join() == -signal.SIGKILL
    assert Child(settings).join() == 0
    assert outcome(tmp_path / "run") == undisturbed[0]
    assert not list((tmp_path / "run").rglob("*.partial"))


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_signal_saves_and_the_exit_code_says_so(
    undisturbed, tmp_path, number, code, long_settings
):
    folder = tmp_path / "run"
    settings = long_settings(folder, checkpoint_every=1000)
    child = Child(settings, signal_at_step, 15, number)
    assert child.join() == code
    assert "stopped and saved after step 16 of 44: run the same command to resume" in child.output
    assert json.loads((folder / "run.json").read_text())["status"] == "interrupted"
    assert last_step(folder / "checkpoints") == 16
    assert Child(settings).join() == 0
    assert outcome(folder) == undisturbed[0]


@pytest.fixture(scope="module")
def stopped(tmp_path_factory, long_settings):
    """A folder with two checkpoints of a run that is not finished."""
    folder = tmp_path_factory.mktemp("stopped") / "run"
    with pytest.MonkeyPatch.context() as patch, pytest.raises(TrainingError):
        fail_reading_at(patch, 3)
        train(long_settings(folder))
    return folder


GONE = DataError("images/0007.png cannot be read: it is gone")


@pytest.fixture
def run(stopped, tmp_path):
    """A copy of ``stopped`` to spoil."""
    return shutil.copytree(stopped, tmp_path / "run")


@pytest.mark.parametrize("suffix", [".safetensors", ".json"])
@pytest.mark.parametrize("spoil", ["torn", "tampered"])
def test_a_damaged_checkpoint_is_named_and_the_one_before_used(
    run, monkeypatch, capfd, suffix, spoil, long_settings
):
    newest = run / "checkpoints" / f"step-000000003{suffix}"
    content = bytearray(newest.read_bytes())
    if spoil == "torn":
        del content[len(content) // 2 :]
    else:
        content[-3] ^= 1
    newest.write_bytes(content)
    fail_reading_at(monkeypatch, 3)
    with pytest.raises(TrainingError, match="from step 3"):
        train(long_settings(run))
    said = " ".join(capfd.readouterr().err.split())
    assert "step-000000003 is damaged" in said
    assert "resuming after step 2 of 44" in said


def test_no_whole_checkpoint_is_a_failure_and_not_a_new_start(run, long_settings):
    for path in (run / "checkpoints").glob("*.json"):
        path.write_text("{}")
    with pytest.raises(TrainingError, match=r"all checkpoints in .* are damaged"):
        train(long_settings(run))


@pytest.mark.parametrize("error", [GONE, OSError(116, "Stale file handle")])
def test_data_that_fails_on_the_way_leaves_the_last_checkpoint(
    run, monkeypatch, error, long_settings
):
    fail_reading_at(monkeypatch, 6, error)
    with pytest.raises(TrainingError) as caught:
        train(long_settings(run))
    assert str(error) in str(caught.value)
    assert "failed at step 6" in str(caught.value)
    assert "The last good checkpoint is from step 6" in str(caught.value)
    assert json.loads((run / "run.json").read_text())["status"] == "failed"
    assert last_step(run / "checkpoints") == 6


def test_a_fault_of_ours_is_not_taken_for_unreadable_data(run, monkeypatch, long_settings):
    fail_reading_at(monkeypatch, 6, RuntimeError("the sizes do not match"))
    with pytest.raises(RuntimeError, match="the sizes do not match"):
        train(long_settings(run))


def test_a_file_system_without_locks_is_said(tmp_path, monkeypatch, capfd):
    def refused(*_arguments):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(lock.fcntl, "lockf", refused)
    fail_reading_at(monkeypatch, 1)
    with pytest.raises(TrainingError, match="the data is gone"):
        train(tiny_settings(tmp_path / "run"))
    assert "file system without locks: make sure that no other process" in capfd.readouterr().err


def _limit_file_size(megabytes):
    resource.setrlimit(resource.RLIMIT_FSIZE, (megabytes << 20, resource.RLIM_INFINITY))


def test_a_full_disk_is_a_clear_error_and_the_last_checkpoint_stays(
    run, undisturbed, long_settings
):
    before = {path.name: path.read_bytes() for path in (run / "checkpoints").iterdir()}
    child = Child(long_settings(run), _limit_file_size, 1)
    assert child.join() == 1
    assert "the checkpoint of step 4 cannot be written" in child.output
    assert "The last good checkpoint is from step 3" in child.output
    assert {path.name: path.read_bytes() for path in (run / "checkpoints").iterdir()} == before
    assert Child(long_settings(run)).join() == 0
    assert outcome(run) == undisturbed[0]


def test_a_folder_that_cannot_be_written_is_refused(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(RefusedError, match=r"cannot write to .*file/run"):
        train(tiny_settings(tmp_path / "file" / "run"))


def test_a_loss_that_is_not_finite_names_step_rate_and_layer(tmp_path):
    settings = tiny_settings(
        tmp_path / "run",
        step="baseline",
        recipe="resnet_standard",
        changes={"lr": 1e30, "warmup_epochs": 0},
        checkpoint_every=0,
    )
    with pytest.raises(NonFiniteError) as caught:
        train(settings)
    said = str(caught.value)
    step = int(
        re.search(r"the loss of step (\d+) \(epoch 1, learning rate 1e\+30\)", said).group(1)
    )
    assert re.search(r"the first layer whose output is not finite is [\w.]+ \(\w+", said)
    assert last_step(tmp_path / "run" / "checkpoints") == step
    assert json.loads((tmp_path / "run" / "run.json").read_text())["status"] == "failed"


def test_the_first_layer_that_fails_is_the_one_named(tmp_path, monkeypatch):
    whole = LayerNorm2d.forward

    def failing(self, x):
        out = whole(self, x)
        return out / 0 if self is self.culprit and self.calls.append(1) is None else out

    def build(self, *args, **options):
        init(self, *args, **options)
        LayerNorm2d.culprit = self.model.get_submodule("stages.1.downsample.norm")

    init = Trainer.__init__
    monkeypatch.setattr(LayerNorm2d, "calls", [], raising=False)
    monkeypatch.setattr(LayerNorm2d, "culprit", None, raising=False)
    monkeypatch.setattr(LayerNorm2d, "forward", failing)
    monkeypatch.setattr(Trainer, "__init__", build)
    with pytest.raises(NonFiniteError, match=r"step 0 .* is stages\.1\.downsample\.norm"):
        train(tiny_settings(tmp_path / "run"))


def test_another_run_in_the_folder_is_refused_with_the_difference(run, long_settings):
    other = long_settings(run, changes=LONG | {"lr": 1e-3}, seed=1)
    with pytest.raises(RefusedError) as caught:
        train(other)
    assert "--lr 0.002 before, 0.001 now" in str(caught.value)
    assert "--seed 0 before, 1 now" in str(caught.value)
    (run / "run.json").unlink()  # the checkpoints still know
    with pytest.raises(RefusedError, match=r"--lr 0\.002 before, 0\.001 now"):
        train(other)


@pytest.mark.parametrize("content", ["", "{", "null", "[1]", "{}", '{"a":' * 100_000, "\x00\x00"])
def test_a_torn_run_json_beside_whole_checkpoints_is_said_and_rebuilt(
    run, monkeypatch, capfd, content, long_settings
):
    whole = json.loads((run / "run.json").read_text())
    (run / "run.json").write_text(content)
    fail_reading_at(monkeypatch, 3)
    with pytest.raises(TrainingError, match="from step 3"):
        train(long_settings(run))
    said = " ".join(capfd.readouterr().err.split())
    assert "run.json is damaged (" in said
    assert "resuming after step 3 of 44" in said
    assert (run / "run.json.damaged").read_text() == content
    again = json.loads((run / "run.json").read_text())
    assert {n: again[n] for n in ("data", "recipe", "seed")} == {
        n: whole[n] for n in ("data", "recipe", "seed")
    }


def test_a_torn_run_json_of_another_run_stays_as_it_is(run, long_settings):
    (run / "run.json").write_text("{")
    with pytest.raises(RefusedError, match="--seed 0 before, 1 now"):
        train(long_settings(run, seed=1))
    assert (run / "run.json").read_text() == "{"
    (run / "run.json").unlink()
    with pytest.raises(RefusedError, match="--seed 0 before, 1 now"):
        train(long_settings(run, seed=1))
    assert not (run / "run.json").exists()


@pytest.mark.usefixtures("few_digits")
def test_a_finished_run_whose_run_json_is_torn_is_written_again(tmp_path):
    settings = tiny_settings(tmp_path / "run", changes={"epochs": 1, "warmup_epochs": 0})
    first = train(settings)
    (tmp_path / "run" / "run.json").write_text("")
    again = train(settings)
    assert (again["status"], again["scores"]) == ("finished", first["scores"])


@pytest.mark.usefixtures("few_digits")
def test_weights_without_a_record_and_checkpoints_are_not_written_over(tmp_path):
    settings = tiny_settings(tmp_path / "run", changes={"epochs": 1, "warmup_epochs": 0})
    train(settings)
    shutil.rmtree(tmp_path / "run" / "checkpoints")
    (tmp_path / "run" / "run.json").write_text("{")
    with pytest.raises(RefusedError, match=r"is damaged .* restore run\.json, or use"):
        train(settings)
    assert (tmp_path / "run" / "run.json").read_text() == "{"


def test_two_processes_do_not_train_in_one_folder(tmp_path, long_settings):
    settings = long_settings(tmp_path / "run")
    child = Child(settings)
    wait_for(lambda: (tmp_path / "run" / "run.json").exists())
    with pytest.raises(RefusedError, match="another process is training"):
        train(settings)
    child.kill_after(0)


@pytest.mark.usefixtures("few_digits")
def test_a_finished_run_is_not_trained_again(tmp_path, capfd):
    settings = tiny_settings(tmp_path / "run", changes={"epochs": 1, "warmup_epochs": 0})
    first = train(settings)
    assert train(settings) == first
    assert "this run is already finished in" in capfd.readouterr().err


@pytest.mark.usefixtures("few_digits")
def test_a_signal_during_validation_saves_too(tmp_path, monkeypatch):
    def stopped(network, data, *, on_batch, **options):
        signal.raise_signal(signal.SIGTERM)
        return evaluate(network, data, on_batch=on_batch, **options)

    short = {"epochs": 1, "warmup_epochs": 0, "batch_size": 16}
    settings = tiny_settings(tmp_path / "run", changes=short)
    with monkeypatch.context() as patch, pytest.raises(InterruptedRunError) as caught:
        patch.setattr(loop, "evaluate", stopped)
        train(settings)
    assert caught.value.code == 143
    assert last_step(tmp_path / "run" / "checkpoints") == 9
    whole = train(tiny_settings(tmp_path / "whole", changes=short))
    assert train(settings)["scores"] == whole["scores"]
