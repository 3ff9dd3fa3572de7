"""Runs reported to TensorBoard, W&B and MLflow: real clients, all on this machine."""

import os
import signal
import subprocess
import sys
import threading

import pytest
from cases import class_folders
from forked import Forked
from tracked import (
    killed_after_epoch,
    killed_once_mlflow_has_its_run,
    seen_in_mlflow,
    seen_in_wandb,
    stopped_in,
    use_local_stores,
)
from training_runs import Child, fail_reading_at, on_processes, tiny_settings, whole_run
from typer.testing import CliRunner

from roadmap.cli import app
from roadmap.errors import RefusedError, TrainingError
from roadmap.runs.metrics import COLUMNS, read_columns
from roadmap.train import trackers
from roadmap.train.run import train

#: Three epochs of four steps of the data.
CHANGES = {"epochs": 3, "batch_size": 4, "mixup": 0.0, "cutmix": 0.0}
SEEN = {"wandb": seen_in_wandb, "mlflow": seen_in_mlflow}
STATUS = {
    "wandb": {name: name for name in ("finished", "failed", "interrupted")},
    "mlflow": {"finished": "FINISHED", "failed": "FAILED", "interrupted": "KILLED"},
}


@pytest.fixture(scope="module", autouse=True)
def stores(tmp_path_factory):
    before = dict(os.environ)
    folder = tmp_path_factory.mktemp("stores")
    use_local_stores(folder)
    yield folder
    os.environ.clear()
    os.environ.update(before)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return class_folders(tmp_path_factory.mktemp("data") / "pets", counts={"train": 8, "val": 2})


@pytest.fixture(params=["wandb", "mlflow"])
def tool(request):
    pytest.importorskip(request.param)
    return request.param


@pytest.fixture
def settings(data, tool, tmp_path):
    """Settings of a run that reports to the tool, in a folder with a name of its own."""
    return tracked(data, tmp_path, tool)


def tracked(data, tmp_path, *tools, **more):
    folder = tmp_path / f"{tmp_path.name}-run"
    fields = {"data": str(data), "workers": 0, "changes": CHANGES, "trackers": tools}
    return tiny_settings(folder, **fields | more)


def points_in(folder):
    """Return the points in metrics.csv: name, epoch, value."""
    columns = read_columns(folder / "metrics.csv")
    return [
        (name, int(epoch), value)
        for name in COLUMNS[1:]
        for epoch, value in zip(columns["epoch"], columns[name], strict=True)
        if value is not None
    ]


def assert_equal_but_for_the_clock(points, expected):
    assert sorted(one[:2] for one in points) == sorted(one[:2] for one in expected)
    timed = ("images_per_s", "seconds")
    values = {one[:2]: one[2] for one in expected}
    assert all(value == values[name, step] for name, step, value in points if name not in timed)


def test_a_run_is_there_with_its_metrics_config_and_status(settings, tool):
    content = train(settings)
    seen = SEEN[tool](settings.output)
    assert len(seen.ids) == 1
    assert sorted(seen.points) == sorted(points_in(settings.output))
    assert {step for _, step, _ in seen.points} == {1, 2, 3}
    assert seen.status == STATUS[tool]["finished"]
    config = seen.config
    if tool == "wandb":
        assert config["recipe"] == content["recipe"]
        assert config["config"] == content["config"]
        assert (config["data"], config["seed"]) == ("pets", 0)
    else:
        assert config["recipe.lr"] == str(content["recipe"]["lr"])
        assert config["config.num_classes"] == str(content["config"]["num_classes"])
        assert (config["data"], config["seed"]) == ("pets", "0")


def test_a_stopped_run_continues_as_the_same_run(settings, tool, stores):
    folder = settings.output
    child = Child(settings, stopped_in, stores, 9, signal.SIGTERM)
    assert child.join() == 143, child.output
    seen = SEEN[tool](folder)
    assert seen.status == STATUS[tool]["interrupted"]
    assert sorted(seen.points) == sorted(points_in(folder))
    assert {step for _, step, _ in seen.points} == {1, 2}
    train(settings)
    resumed = SEEN[tool](folder)
    assert resumed.ids == seen.ids
    assert resumed.status == STATUS[tool]["finished"]
    assert sorted(resumed.points) == sorted(points_in(folder))


@pytest.mark.parametrize("sent", [True, False])
def test_killed_before_its_checkpoint_a_run_has_each_epoch_once(settings, tool, stores, sent):
    folder = settings.output
    child = Child(settings, killed_after_epoch, stores, 2, sent)
    assert child.join() == -signal.SIGKILL, child.output
    train(settings)
    seen = SEEN[tool](folder)
    assert len(seen.ids) == 1
    assert seen.status == STATUS[tool]["finished"]
    assert_equal_but_for_the_clock(seen.points, points_in(folder))


def test_killed_before_its_id_is_remembered_a_run_in_mlflow_is_found_again(data, tmp_path, stores):
    pytest.importorskip("mlflow")
    settings = tracked(data, tmp_path, "mlflow")
    child = Child(settings, killed_once_mlflow_has_its_run, stores)
    assert child.join() == -signal.SIGKILL, child.output
    train(settings)
    assert SEEN["mlflow"](settings.output).status == STATUS["mlflow"]["finished"]


def test_a_failed_run_is_failed_there(settings, tool, monkeypatch):
    with monkeypatch.context() as patch, pytest.raises(TrainingError):
        fail_reading_at(patch, 2)
        train(settings)
    assert SEEN[tool](settings.output).status == STATUS[tool]["failed"]


def test_a_tool_that_fails_costs_a_warning_and_gets_the_rest_later(
    settings, tool, monkeypatch, capfd
):
    with monkeypatch.context() as patch:
        whole = trackers.TRACKERS[tool].write

        def write(self, row):
            if row["epoch"] == 2:
                raise OSError("no network")
            whole(self, row)

        patch.setattr(trackers.TRACKERS[tool], "write", write)
        assert train(settings)["status"] == "finished"
    said = capfd.readouterr().err
    assert said.count("no network") == said.count("the training does not depend on it") == 1
    train(settings)
    seen = SEEN[tool](settings.output)
    assert (len(seen.ids), seen.status) == (1, STATUS[tool]["finished"])
    assert sorted(seen.points) == sorted(points_in(settings.output))
    train(settings)  # has nothing more to send
    assert SEEN[tool](settings.output) == seen


def test_a_finished_run_is_sent_when_asked_later(data, tool, tmp_path):
    train(tracked(data, tmp_path))
    settings = tracked(data, tmp_path, tool)
    train(settings)
    assert sorted(SEEN[tool](settings.output).points) == sorted(points_in(settings.output))


def test_two_processes_report_once(settings, tool, stores, tmp_path):
    on_processes(2, reporting_run, settings, tmp_path / "said", str(stores))
    seen = SEEN[tool](settings.output)
    assert len(seen.ids) == 1
    assert sorted(seen.points) == sorted(points_in(settings.output))


def reporting_run(settings, result, rank, size, port, stores):
    use_local_stores(stores)
    whole_run(settings, result, rank, size, port)


class Hanging(trackers.Tracker):
    title, has_all = "Hanging", False
    go_on = threading.Event()

    def open(self):
        self.go_on.wait(600)

    def write(self, row):
        pass

    def close(self, status):
        pass


def test_a_tool_that_hangs_holds_no_training_up(data, tmp_path, monkeypatch, capfd):
    monkeypatch.setitem(trackers.TRACKERS, "tensorboard", Hanging)
    monkeypatch.setattr(trackers, "PATIENCE", 0.1)
    try:
        assert train(tracked(data, tmp_path, "tensorboard"))["status"] == "finished"
    finally:
        Hanging.go_on.set()
    assert "Hanging failed" in capfd.readouterr().err


@pytest.mark.parametrize(("name", "extra"), [("wandb", "wandb"), ("mlflow", "mlflow")])
def test_a_missing_package_is_refused_before_anything_starts(
    data, tmp_path, monkeypatch, name, extra
):
    monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(RefusedError, match=rf"--{name} needs .*\[{extra}\] extra, or run pip "):
        train(tracked(data, tmp_path, name))
    assert not (tmp_path / f"{tmp_path.name}-run").exists()


def test_a_sweep_with_a_missing_package_is_refused_once(data, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "mlflow", None)
    words = f"sweep --step kernel_7 --seeds 0 1 --data {data} --output {tmp_path / 'runs'} --mlflow"
    ended = CliRunner().invoke(app, words.split())
    assert ended.exit_code == 2
    assert ended.stderr.count("--mlflow needs the mlflow-skinny package") == 1
    assert not (tmp_path / "runs").exists()


def test_a_sweep_reports_its_runs(data, tool, tmp_path, monkeypatch):
    monkeypatch.setattr(subprocess, "Popen", Forked)
    words = f"sweep --step kernel_7 --scale pocket --data {data} --workers 0 --device cpu"
    words += f" --epochs 1 --batch-size 4 --output {tmp_path} --{tool} --mixup 0 --cutmix 0"
    ended = CliRunner().invoke(app, words.split())
    assert ended.exit_code == 0, ended.stderr
    folder = tmp_path / "resnet50-kernel_7-seed0"
    (ids, points, _, status) = SEEN[tool](folder)
    assert (len(ids), status) == (1, STATUS[tool]["finished"])
    assert sorted(points) == sorted(points_in(folder))


def test_wandb_without_a_key_is_refused_before_anything_starts(data, tmp_path, monkeypatch):
    wandb = pytest.importorskip("wandb")

    def login():
        raise wandb.errors.UsageError("No API key configured.")

    monkeypatch.setattr(wandb, "setup", lambda: type("", (), {"settings": wandb.Settings()}))
    monkeypatch.setattr(wandb, "login", login)
    monkeypatch.setenv("WANDB_MODE", "online")
    with pytest.raises(RefusedError, match=r"--wandb needs an API key: run wandb login"):
        train(tracked(data, tmp_path, "wandb"))
