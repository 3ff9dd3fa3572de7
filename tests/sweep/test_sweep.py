"""Sweeps: what is planned, what is tried again, and what is left when one is stopped or killed."""

from __future__ import annotations

import io
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from cases import cats_and_dogs, dogs_and_kittens
from forked import Forked
from processes import children, listed
from typer.testing import CliRunner

from roadmap.cli import app
from roadmap.errors import FolderInUseError, RefusedError
from roadmap.files import write_csv
from roadmap.runs.lock import is_locked
from roadmap.runs.metrics import COLUMNS, METRICS
from roadmap.runs.record import RunPoint, RunRecord
from roadmap.steps import ROADMAPS
from roadmap.study.design import DESIGNS, read_design
from roadmap.study.space import StudyError
from roadmap.sweep import estimate as estimating
from roadmap.sweep import scheduler
from roadmap.sweep.engine import TURN, Ending, LocalEngine, _visible, failed, failure_line
from roadmap.sweep.folders import check_folders
from roadmap.sweep.plan import (
    PlannedRun,
    Progress,
    design_runs,
    notes_of,
    plan_runs,
    read_progress,
)
from roadmap.sweep.progress_table import ProgressTable, seconds_left
from roadmap.sweep.scheduler import State, schedule
from roadmap.sweep.worker import _turn
from roadmap.text import duration
from roadmap.train.checkpoint import last_step
from roadmap.train.data.sources import open_source
from roadmap.train.settings import trained_config
from roadmap.train.stopping import Signals, ask_to_stop

ROOT = Path(__file__).parents[2]


def planned(
    root: Path, steps=("kernel_7", "gelu"), seeds=(0, 1), skip=(), **more
) -> list[PlannedRun]:
    options = {"recipe": None, "changes": {"epochs": 4}, "image_size": None} | more
    return plan_runs("resnet50", steps, skip, seeds, root, **options)


def write_metrics(run: PlannedRun, top1: Sequence[float]) -> Path:
    """metrics.csv of ``run``, with an epoch of one second for each of ``top1``."""
    path = run.folder / METRICS
    rows = [{"epoch": n, "top1": score, "seconds": 1} for n, score in enumerate(top1, 1)]
    write_csv(path, COLUMNS, [dict.fromkeys(COLUMNS) | row for row in rows])
    return path


def write_run(run: PlannedRun, status: str = "finished", **more: object) -> None:
    """run.json of ``run``, on digits and a CPU, with ``more`` in place of some of its fields."""
    settings = run.settings
    record = RunRecord(
        status=status,
        roadmap=settings.roadmap,
        step=settings.step,
        point=settings.point and RunPoint(**settings.point),
        recipe_name=None,
        config=trained_config(settings).to_dict(),
        recipe=dict(vars(settings.recipe)),
        data="digits",
        data_sha256="0" * 64,
        classes=10,
        train_images=1442,
        val_images=355,
        seed=settings.seed,
        scale=settings.scale,
        precision="float32",
        compiled=False,
        device_type="cpu",
        device="a CPU",
        processes=1,
        versions={},
        date="2026-01-01",
        wall_seconds=1.0,
        scores={"top1": 60.5},
    )
    content = json.loads(json.dumps(record.to_json()))
    data = content["data"] | more.pop("data", {})
    run.folder.mkdir(parents=True, exist_ok=True)
    (run.folder / "run.json").write_text(json.dumps(content | more | {"data": data}))


# -- what is planned ----------------------------------------------------------------------------


def test_every_step_with_the_first_seed_comes_first(tmp_path):
    runs = planned(tmp_path, steps=(), seeds=(3, 1))
    keys = list(ROADMAPS["resnet50"].keys)
    assert [run.settings.seed for run in runs] == [3] * len(keys) + [1] * len(keys)
    assert [run.settings.step for run in runs[: len(keys)]] == keys
    assert runs[0].folder == tmp_path / "resnet50-baseline-seed3"
    assert runs[0].settings.recipe.optimizer == "sgd"
    assert runs[1].settings.recipe.optimizer == "adamw"
    assert {run.settings.recipe.epochs for run in runs} == {4}


def test_steps_are_chosen_and_skipped_in_the_roadmaps_order(tmp_path):
    chosen = planned(tmp_path, steps=("gelu", "baseline", "kernel_7"), skip=("baseline",))
    assert [run.settings.step for run in chosen[:2]] == ["kernel_7", "gelu"]


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"steps": ("kernel7",)}, "Did you mean 'kernel_7'"),
        ({"skip": ("kernel_7", "gelu")}, "leave no step"),
        ({"seeds": (0, 1, 0)}, "--seeds has 0 twice"),
        ({"seeds": (0, 2**64)}, "use a whole number from 0 to 18446744073709551615"),
        ({"changes": {"epochs": 0}}, "epochs is 0"),
    ],
)
def test_a_wrong_plan_is_refused(arguments, sentence, tmp_path):
    with pytest.raises(RefusedError, match=sentence):
        planned(tmp_path, **arguments)


def test_a_design_with_a_seed_that_no_generator_takes_is_refused(tmp_path):
    text = (DESIGNS / "init_check.json").read_text()
    (tmp_path / "design.json").write_text(text.replace('"seed": 0', f'"seed": {2**64}', 1))
    with pytest.raises(StudyError, match=f"seed is {2**64}; use a whole number from 0"):
        read_design(tmp_path / "design.json")


def test_a_step_whose_change_is_set_for_all_is_named(tmp_path):
    steps = ("trivial_augment", "long_training", "random_erasing")
    options = {"recipe": None, "changes": {"epochs": 30}, "image_size": None}
    runs = plan_runs("torchvision_recipe", steps, (), (0, 1), tmp_path, **options)
    said = [note for note in notes_of(runs) if "same as" in note]
    assert said == [
        "long_training is the same as trivial_augment here, because an option sets for all steps "
        "what it changes"
    ]
    assert not [note for note in notes_of(planned(tmp_path, ())) if "same as" in note]


# -- what is in the folders already -------------------------------------------------------------


def facts_of(run: PlannedRun, **more: object) -> dict[str, object]:
    """run.json of ``run``, whose data has 7 classes, with ``more`` in place of some."""
    settings = run.settings
    facts = {name: getattr(settings, name) for name in ("roadmap", "step", "seed", "scale")}
    facts |= {name: getattr(settings, name) for name in ("micro_batch", "sync_batch_norm")}
    facts |= {"precision": "float32", "device_type": "cpu", "compiled": False, "processes": 1}
    config = trained_config(settings).replace(num_classes=7).to_dict()
    return json.loads(json.dumps(facts | {"config": config})) | more


@pytest.mark.parametrize("status", ["finished", "interrupted", "running", "failed"])
def test_a_run_of_the_same_settings_is_the_sweeps(tmp_path, status):
    run, *_ = planned(tmp_path)
    same = replace(
        run.settings, workers=3, compiled=True, trackers=("tensorboard",), checkpoint_every=1.0
    )
    for more in ({}, {"micro_batch": 4096}, {"sync_batch_norm": False}, {"versions": {}}):
        write_run(run, status, **facts_of(run, **more))
        check_folders([replace(run, settings=same)], device="cpu")
    layers, *_ = planned(tmp_path, steps=("layer_norm",))
    write_run(layers, status, **facts_of(layers, micro_batch=64, sync_batch_norm=False))
    check_folders([layers], device="cpu")  # without batch norm, both change nothing


@pytest.mark.parametrize("status", ["finished", "interrupted", "running", "failed"])
@pytest.mark.parametrize(
    ("more", "sentence"),
    [
        ({"scale": "pocket"}, "--scale 'pocket' before, 'full' now"),
        ({"step": "gelu"}, "--step 'gelu' before, 'kernel_7' now"),
        ({"micro_batch": 64}, "--micro-batch 64 before, None now"),
        (
            {"processes": 2, "sync_batch_norm": False},
            "sync_batch_norm False before, True now",
        ),
        ({"seed": 5}, "--seed 5 before, 0 now"),
    ],
)
def test_a_run_of_other_settings_is_named_before_any_starts(tmp_path, status, more, sentence):
    run, *_ = planned(tmp_path)
    write_run(run, status, **facts_of(run, **more))
    with pytest.raises(RefusedError, match=re.escape(sentence)) as refused:
        check_folders([run], device="cpu")
    state = "finished" if status == "finished" else "stopped"
    assert f"{run.name} ({state}): {sentence}. Use another --output" in str(refused.value)


def test_machine_and_precision_of_a_finished_run_matter_where_one_is_asked_for(tmp_path):
    run, *_ = planned(tmp_path)
    write_run(run, **facts_of(run))
    check_folders([run], device="cuda")
    for asked in ({"device": "cuda"}, {"precision": "bf16"}):
        with pytest.raises(RefusedError, match=r"'(cpu|float32)' before"):
            check_folders([replace(run, settings=replace(run.settings, **asked))], device="cuda")
    write_run(run, "interrupted", **facts_of(run))
    check_folders([run])  # a cluster's machines are not known
    with pytest.raises(RefusedError, match="--precision 'float32' before, 'bf16' now; --device"):
        check_folders([run], device="cuda")


def test_all_of_them_are_named_with_the_way_out(tmp_path):
    root = tmp_path / "runs" / "pets"
    runs = planned(root)
    before = planned(root, changes={"epochs": 30, "mixup": 0.0})
    for run, status in zip(before, ("finished", "interrupted", "running"), strict=False):
        write_run(run, status, **facts_of(run))
    (tmp_path / "runs-2" / "pets").mkdir(parents=True)
    with training_in(runs[2].folder) as process, pytest.raises(RefusedError) as refused:
        try:
            check_folders(runs, device="cpu")
        finally:
            process.stdin.close()
    assert str(refused.value) == (
        f"{root} holds 3 runs with other settings; nothing was started. "
        f"{runs[0].name} (finished), {runs[1].name} (stopped), {runs[2].name} (being trained): "
        "--epochs 30 before, 4 now; --warmup-epochs 2 before, 1 now; --mixup 0.0 "
        f"before, 0.8 now. Use another --output, such as {tmp_path}/runs-3/pets, use the same "
        "settings, or delete those runs"
    )


def test_runs_of_a_design_that_was_changed_are_named(tmp_path):
    design = read_design(DESIGNS / "init_check.json")
    runs = design_runs(design, tmp_path)
    write_run(runs[0], **facts_of(runs[0], step=None))
    check_folders(runs)
    other = trained_config(runs[0].settings).replace(init="kaiming").to_dict()
    write_run(runs[0], **facts_of(runs[0], step=None, config=other))
    with pytest.raises(RefusedError, match=r"config\.init 'kaiming' before, 'default' now"):
        check_folders(runs)


@pytest.mark.parametrize("content", ["", "[]", "null", '{"status": 1}', '{"recipe": 3}'])
def test_what_is_no_record_is_left_to_the_run(tmp_path, content):
    run, *_ = planned(tmp_path)
    run.folder.mkdir(parents=True)
    (run.folder / "run.json").write_text(content)
    check_folders([run], device="cpu")


def test_a_run_on_other_data_is_not_taken_for_this_one(tmp_path):
    (run, *_) = planned(tmp_path)
    pets = open_source(cats_and_dogs(tmp_path / "pets"))
    kittens = open_source(dogs_and_kittens(tmp_path / "kittens"))
    data = {"class_names": ["dog", "cat"], "train_images": 24, "val_images": 10}
    for status in ("finished", "interrupted"):
        write_run(run, status, data=data)
        check_folders([run], pets)
        with pytest.raises(RefusedError, match=r"data\.class_names .*cat.* before, .*kitten.* now"):
            check_folders([run], kittens)
        write_run(run, status, data=data | {"train_images": 23})
        with pytest.raises(RefusedError, match=r"data\.train_images 23 before, 24 now"):
            check_folders([run], pets)
        accepting = replace(run, settings=replace(run.settings, accept_changed_data=True))
        check_folders([accepting], pets)


def test_the_plan_takes_speed_from_the_table_and_leaves_out_what_is_done(tmp_path, monkeypatch):
    row = {"source": "resnet50", "mode": "training", "device_name": "A", "image_size": "224"}
    table = [
        row | {"name": "kernel_7", "compiled": "False", "images_per_s": "100"},
        row | {"name": "kernel_7", "compiled": "True", "images_per_s": "200"},
        row | {"name": "gelu", "compiled": "False", "images_per_s": "50"},
    ]
    monkeypatch.setattr(estimating, "_training_speeds", lambda: table)
    runs = planned(tmp_path, image_size=112)
    found = estimating.estimate(runs, "A", 1000)
    # 4 epochs of 1,000 images at four times the speed of 224 pixels, two seeds
    hours = 2 * (4000 / 400 + 4000 / 200) / 3600
    assert found.hours == {"A": estimating.Hours(pytest.approx(hours), ())}
    write_run(runs[0])
    again = estimating.estimate(runs, "A", 1000)
    assert (again.runs, again.finished) == (4, 1)
    assert again.hours["A"].known == pytest.approx((4000 / 400 + 2 * 4000 / 200) / 3600)
    assert 0 < again.kept < again.disk < found.disk
    compiled = planned(tmp_path, image_size=112, compiled=True)
    assert estimating.estimate(compiled, "A", 1000).hours["A"].known < again.hours["A"].known
    assert estimating.estimate(runs, "B", 1000).hours == {}
    del table[2]  # a step that is not in the table is named, and the others are counted
    some = estimating.estimate(runs, "A", 1000).hours["A"]
    assert some == estimating.Hours(pytest.approx(4000 / 400 / 3600), ("gelu",))


# -- what is done with failures -----------------------------------------------------------------


class Scripted:
    """An engine whose runs end at once, with the codes that the test gives."""

    slots = 2

    def __init__(self, codes: dict[str, list[int]]):
        self.codes, self.started, self._now = codes, [], []

    def start(self, run: PlannedRun) -> None:
        assert len(self._now) < self.slots
        self.started.append(run.name)
        self._now.append(run)

    def starting(self) -> list[PlannedRun]:
        return []

    def running(self) -> list[PlannedRun]:
        return self._now

    def endings(self) -> list[Ending]:
        ended, self._now = self._now, []
        return [Ending(run, self.codes.get(run.name, [0]).pop(0), "why") for run in ended]

    def stop(self) -> None:
        """Jobs end here as soon as they are looked at."""


@pytest.fixture
def no_pause(monkeypatch):
    monkeypatch.setattr(scheduler, "PAUSE", 0)


def swept(runs, engine, stopped=lambda: False):
    return schedule(runs, engine, lambda _state, _training, _starting: None, stopped)


@pytest.mark.usefixtures("no_pause")
def test_failures_are_tried_once_more_and_refusals_are_not(tmp_path):
    runs = planned(tmp_path)
    engine = Scripted(
        {
            "resnet50-kernel_7-seed0": [1, 0],
            "resnet50-gelu-seed0": [3, 3],
            "resnet50-kernel_7-seed1": [2],
            "resnet50-gelu-seed1": [0],
        }
    )
    state = swept(runs, engine)
    assert [run.name for run in state.done] == [
        "resnet50-gelu-seed1",
        "resnet50-kernel_7-seed0",
    ]
    assert [(ending.run.name, ending.code) for ending in state.failed] == [
        ("resnet50-kernel_7-seed1", 2),
        ("resnet50-gelu-seed0", 3),
    ]
    assert engine.started.count("resnet50-gelu-seed0") == 2
    assert engine.started.count("resnet50-kernel_7-seed1") == 1


@pytest.mark.usefixtures("no_pause")
def test_what_is_stopped_waits_for_the_same_command(tmp_path):
    runs = planned(tmp_path)
    looks = iter([False, True, False, True])
    state = swept(runs, Scripted({"resnet50-gelu-seed0": [1]}), stopped=lambda: next(looks))
    assert state.done == [runs[0]]
    assert sorted(run.name for run in state.waiting) == sorted(run.name for run in runs[1:])
    engine = Scripted({})
    engine.endings = lambda: write_run(runs[0]) or []  # it finishes while it is being stopped
    state = swept(runs, engine, stopped=lambda: next(looks))
    assert state.done == [runs[0]]
    assert set(state.waiting) == set(runs[1:])


class Process:
    """What ``LocalEngine`` starts, without a process."""

    def __init__(self, _command, *, env, **_more):
        self.stdin, self.stdout, self.code = Told(), io.BytesIO(), None
        self.gpu = env.get("CUDA_VISIBLE_DEVICES")

    def poll(self) -> int | None:
        return self.code

    @property
    def may_train(self) -> bool:
        return self.stdin.heard.endswith(b"\n.")


class Told(io.BytesIO):
    """What was written to it, also once closed."""

    heard = b""

    def write(self, text: bytes) -> int:
        self.heard += text
        return len(text)


@pytest.fixture
def processes(monkeypatch):
    """Of an engine, in the order of their start."""
    started = []
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)

    def start(*arguments, **more):
        started.append(Process(*arguments, **more))
        return started[-1]

    monkeypatch.setattr(subprocess, "Popen", start)
    return started


@pytest.mark.usefixtures("no_pause")
def test_a_folder_that_cannot_be_written_is_named_and_the_others_go_on(tmp_path, processes):
    runs = planned(tmp_path)
    for run in runs[:3]:
        run.folder.write_text("a file")
    engine = LocalEngine(ahead=1)
    state = swept(runs, engine, stopped=lambda: any(setattr(p, "code", 0) for p in processes))
    assert state.done == [runs[3]]
    assert [ending.reason for ending in state.failed] == [
        f"{run.folder} cannot be written: File exists" for run in runs[:3]
    ]


def test_a_terminal_shows_a_row_a_step_and_a_column_a_seed(tmp_path, monkeypatch, capsys):
    steps = planned(tmp_path, steps=("baseline",))
    [recipe] = plan_runs("torchvision_recipe", ["baseline"], (), [0], tmp_path)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    with ProgressTable([*steps, recipe], 1) as table:
        table.show(State(deque(steps[:1])), [recipe], steps[1:])
    shown = re.sub(r"\x1b\[\d+m", "", capsys.readouterr().err)  # without bold
    rows = [line.split("│")[1:-1] for line in shown.splitlines() if "│" in line]
    assert [[cell.strip() for cell in row] for row in rows] == [
        ["resnet50 baseline", "waits", "starting"],
        ["torchvision_recipe baseline", "epoch 0/90", ""],
    ]


def test_a_run_that_was_stopped_is_said_to_wait_where_it_stands(tmp_path, capsys):
    runs = planned(tmp_path)
    for run, status in zip(runs, ("finished", "interrupted", "running"), strict=False):
        write_run(run, status)
        write_metrics(run, [50, 60.5])
    table = ProgressTable(runs, 1)
    table.show(State(deque(runs[1:2] + runs[3:]), done=runs[:1]), runs[2:3], [])
    table.show(State(deque(runs[1:]), done=runs[:1]), [], [])
    assert capsys.readouterr().err.splitlines() == [
        f"{runs[0].name}: finished 60.50%",
        f"{runs[1].name}: waits at epoch 2/4",
        f"{runs[2].name}: epoch 2/4 60.50%",
        f"{runs[2].name}: waits at epoch 2/4",
    ]


@pytest.mark.parametrize(("epochs", "age", "trains"), [(3, 0, False), (4, 0, True), (4, 60, False)])
def test_the_next_trains_once_one_has_only_results_to_write(
    tmp_path, processes, epochs, age, trains
):
    runs = planned(tmp_path)
    engine = LocalEngine(ahead=1)
    for run in runs[:2]:
        engine.start(run)
    write_run(runs[0], "running")
    metrics = write_metrics(runs[0], [50] * epochs)
    written = time.time() + 1 - age  # an earlier try's, where it is from before the start
    os.utime(metrics, (written, written))
    assert engine.endings() == []
    assert processes[1].may_train == trains
    assert engine.starting() == ([] if trains else [runs[1]])


def test_on_each_gpu_one_trains_and_one_waits(tmp_path, processes):
    runs = planned(tmp_path, seeds=(0, 1, 2))
    engine = LocalEngine(range(2), ahead=1)
    assert (engine.slots, engine.devices) == (4, 2)
    for run in runs[:4]:
        engine.start(run)
    assert [process.gpu for process in processes] == ["0", "1", "0", "1"]
    assert [process.may_train for process in processes] == [True, True, False, False]
    processes[1].code = processes[2].code = 0
    assert [ending.run for ending in engine.endings()] == [runs[1], runs[2]]
    assert [process.may_train for process in processes] == [True, True, False, True]
    engine.start(runs[4])
    engine.start(runs[5])
    assert [process.gpu for process in processes[4:]] == ["1", "0"]
    processes[0].code = -9
    assert engine.endings()[0].code == 137
    assert [process.may_train for process in processes[4:]] == [False, True]


def test_two_ahead_wait_in_order(tmp_path, processes):
    runs = planned(tmp_path, seeds=(0, 1))
    engine = LocalEngine(ahead=2)
    for run in runs[:3]:
        engine.start(run)
    assert engine.starting() == runs[1:3]
    processes[0].code = 0
    assert [ending.run for ending in engine.endings()] == runs[:1]
    assert engine.starting() == [runs[2]]


@pytest.mark.parametrize("given", [True, False])
def test_a_run_trains_when_told_and_stops_when_its_sweep_has_died(given):
    ends = os.pipe()
    told, telling = os.fdopen(ends[0], "rb", 0), os.fdopen(ends[1], "wb", 0)
    with Signals() as signals, told, telling:
        turn = _turn(told)
        assert not turn.wait(0.05)
        if given:
            telling.write(TURN)
            assert turn.wait(60)
        assert not signals.number
        telling.close()
        wait_for(lambda: signals.number)
        assert (turn.is_set(), signals.number) == (given, signal.SIGTERM)


def test_a_run_that_was_asked_to_save_still_saves_when_its_sweep_dies(monkeypatch):
    with Signals() as signals:
        signal.raise_signal(signal.SIGINT)
        ask_to_stop()  # a second signal would end this process
        assert signals.number == signal.SIGINT
    raised = []
    monkeypatch.setattr(signal, "raise_signal", raised.append)
    with Signals():
        ask_to_stop()
    assert raised == [signal.SIGTERM]


def training_in(folder: Path) -> subprocess.Popen:
    """A process that holds the folder's lock until it is told to end."""
    folder.mkdir(parents=True, exist_ok=True)
    code = (
        "import sys; from pathlib import Path; from roadmap.runs.lock import FolderLock\n"
        "with FolderLock(Path(sys.argv[1])): print('locked', flush=True); sys.stdin.read()"
    )
    command = [sys.executable, "-c", code, str(folder)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    process = subprocess.Popen(command, cwd=ROOT, text=True, **pipes)
    assert process.stdout.readline() == "locked\n"
    return process


def test_the_reason_of_a_failure_is_its_own(tmp_path, monkeypatch):
    """Not the last line of the log, which another process may have written."""
    runs = planned(tmp_path, scale="pocket")
    refused, other, held, killed = runs
    write_run(refused, "interrupted", scale="pocket", step=other.settings.step)
    engine = LocalEngine(ahead=2)
    found: dict[PlannedRun, Ending] = {}
    with training_in(held.folder) as process:
        engine.start(refused)  # in an interpreter of its own, as no other test here
        monkeypatch.setattr(subprocess, "Popen", Forked)
        for run in (held, killed):
            engine.start(run)
        os.kill(engine._planned[killed].process.pid, signal.SIGKILL)
        for run in (refused, held, killed):
            with (run.folder / "train.log").open("a") as log:
                log.write("epoch 3/4: a line of another process\n")
        wait_for(lambda: found.update({e.run: e for e in engine.endings()}) or len(found) == 3)
        process.stdin.close()
    assert found[refused].code == found[held].code == RefusedError.code
    assert "holds another run" in found[refused].reason
    assert "another process is training in" in found[held].reason
    assert (found[refused].in_use, found[held].in_use) == (False, True)
    assert found[killed].code == 128 + signal.SIGKILL
    assert found[killed].reason == "its process was ended by SIGKILL, probably out of memory"
    assert "Traceback" not in (refused.folder / "train.log").read_text()


def test_what_an_error_says_is_its_reason(tmp_path):
    [run, *_] = planned(tmp_path)
    fault = failure_line(ValueError("the sizes do not match\nand more"))
    assert failed(run, 1, fault) == Ending(run, 1, "ValueError: the sizes do not match")
    assert failed(run, 2, failure_line(FolderInUseError("x"))) == Ending(run, 2, "x", in_use=True)
    assert len(failure_line(RefusedError("x" * 10**6))) < 4096  # what any pipe takes at once
    assert "exit code 1" in failed(run, 1, "").reason
    assert "exit code 255" in failed(run, 255, fault[:9]).reason


@pytest.mark.usefixtures("no_pause")
def test_what_another_process_trains_waits_for_it_and_the_others_go_on(tmp_path, capsys):
    first, second, *_ = runs = planned(tmp_path, seeds=(0,))
    engine = Scripted({run.name: [0] for run in runs})
    table, process = ProgressTable(runs, 1), training_in(first.folder)

    def watch(state, training, starting):
        table.show(state, training, starting)
        if second in state.done and process.poll() is None:
            assert engine.started == [second.name]
            write_run(first)
            process.communicate()

    state = schedule(runs, engine, watch, lambda: False)
    assert (state.done, state.failed) == ([second, first], [])
    assert engine.started == [second.name]  # the other process has finished it
    said = capsys.readouterr().err
    assert f"{first.name}: waiting: another process is training it" in said
    assert f"{first.name}: finished" in said


@pytest.mark.usefixtures("no_pause")
def test_a_run_that_was_in_use_is_tried_again_and_not_counted_as_failed(tmp_path, monkeypatch):
    monkeypatch.setattr(scheduler, "IN_USE", 0)
    [run] = planned(tmp_path, steps=("gelu",), seeds=(0,))
    engine = Scripted({run.name: [2, 2, 2, 1, 0]})
    endings = engine.endings
    engine.endings = lambda: [replace(e, in_use=e.code == 2) for e in endings()]
    state = swept([run], engine)
    assert (state.done, state.failed, len(engine.started)) == ([run], [], 5)


@pytest.mark.usefixtures("no_pause")
def test_a_sweep_that_waits_for_another_process_can_be_stopped(tmp_path):
    [run] = planned(tmp_path, steps=("gelu",), seeds=(0,))
    with training_in(run.folder) as process:
        looks = iter([False, False, True])
        state = swept([run], Scripted({}), stopped=lambda: next(looks))
        process.stdin.close()
    assert list(state.waiting) == [run]


def test_a_gpu_is_one_of_those_that_were_given():
    assert _visible(1, [""]) == "1"
    assert _visible(1, ["3", "GPU-5"]) == "GPU-5"


@pytest.mark.usefixtures("no_pause")
def test_finished_runs_are_not_started(tmp_path):
    runs = planned(tmp_path)
    write_run(runs[2])
    engine = Scripted({run.name: [0] for run in runs})
    assert len(swept(runs, engine).done) == 4
    assert runs[2].name not in engine.started


@pytest.mark.usefixtures("no_pause")
def test_when_stopped_nothing_more_is_started(tmp_path):
    runs = planned(tmp_path)
    engine = Scripted({run.name: [0] for run in runs})
    state = swept(runs, engine, stopped=lambda: len(engine.started) >= 2)
    assert len(engine.started) == len(state.done) == 2
    assert not engine.running()


# -- what is shown ------------------------------------------------------------------------------


@pytest.mark.parametrize("content", ["", "[]", "{}", "{not json", '{"status": "running"'])
def test_a_folder_that_cannot_be_read_waits(content, tmp_path):
    (tmp_path / "run.json").write_text(content)
    assert read_progress(tmp_path) == Progress()
    assert read_progress(tmp_path / "none") == Progress()


def test_time_left_is_by_the_steps_own_epochs(tmp_path):
    first, second, third, _ = planned(tmp_path)
    assert seconds_left([first], {}, 1) is None
    progress = {first: Progress("running", 1, 50.0, 10.0), second: Progress("running", 2, 9.0, 2.0)}
    assert seconds_left([first, second], progress, 1) == 3 * 10 + 2 * 2
    assert seconds_left([first, third], progress, 2) == (3 * 10 + 4 * 10) / 2
    assert [duration(s) for s in (40, 720, 3900)] == ["40 s", "12 min", "1 h 05 min"]


# -- as a person uses it ------------------------------------------------------------------------


def invoke(*arguments: object):
    return CliRunner().invoke(app, ["sweep", *map(str, arguments)])


def test_the_dry_run_says_what_would_be_done(tmp_path):
    done = invoke("--dry-run", "--seeds", 0, 1, 2, "--epochs", 30, "--output", tmp_path)
    assert done.exit_code == 0, done.output
    runs = 3 * len(ROADMAPS["resnet50"].steps)
    assert f"Runs: {runs}, 0 already finished." in done.stdout
    assert "on one NVIDIA H200" in done.stdout
    assert not list(tmp_path.iterdir())


def test_a_clusters_devices_are_not_looked_for_on_this_machine(tmp_path):
    done = invoke("--dry-run", "--engine", "ray", "--device", "cuda", "--output", tmp_path)
    assert done.exit_code == 0, done.output
    assert "on one NVIDIA H200" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("--data", "nowhere"), "nowhere does not exist"),
        (("--address", "10.0.0.1:6379"), "add --engine ray"),
        (("--ahead", 1, "--engine", "ray"), "--ahead only works with --engine local"),
        (("--step", "kernel7"), "Did you mean 'kernel_7'"),
        (("--lr", "fast"), "--lr is 'fast'"),
        (
            ("--device", "gpu", "--output", "nowhere"),
            "--device is 'gpu', which this machine does not have",
        ),
        (("--ahead", -1), "Invalid value for '--ahead'"),
    ],
)
def test_wrong_options_are_a_sentence(arguments, sentence):
    done = invoke(*arguments)
    assert done.exit_code == 2
    assert sentence in done.stderr
    assert "Traceback" not in done.output


def test_killed_and_stopped_runs_are_finished_in_the_end(tmp_path):
    """In the end with --ahead: the second starts up, and waits for its turn."""
    command = [sys.executable, "-m", "roadmap", "sweep", "--step", "kernel_7", "--seeds", "0", "1"]
    command += ["--scale", "pocket", "--epochs", "3", "--device", "cpu", "--output", str(tmp_path)]
    first, second = (tmp_path / f"resnet50-kernel_7-seed{seed}" for seed in (0, 1))
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}

    def begun(*options: str) -> subprocess.Popen:
        line = [*command, *options]
        return Forked(line, env=environment, stderr=subprocess.PIPE, text=True)

    sweep = begun()
    wait_for(lambda: read_progress(first).epochs)
    [training] = children(sweep.pid)
    os.kill(training, signal.SIGKILL)  # to be tried again, after the other
    wait_for(lambda: read_progress(second).epochs)
    sweep.send_signal(signal.SIGINT)
    assert sweep.wait(120) == 130
    assert "Stopped and saved; 2 runs left. Run the same command to resume." in sweep.stderr.read()
    stopped = read_progress(second)
    assert stopped.status == "interrupted"

    again, together = begun("--ahead", "1"), False
    try:
        while again.poll() is None:
            now = read_progress(second)  # before the other: what holds then still holds for it
            alone = read_progress(first).epochs == 3
            assert alone or now.epochs == stopped.epochs
            together = together or (now.status == "running" and not alone)
            time.sleep(0.05)
    finally:
        again.terminate()
    assert again.returncode == 0, again.stderr.read()
    assert together
    assert [read_progress(folder).status for folder in (first, second)] == ["finished"] * 2
    assert "resuming after step" in (second / "train.log").read_text()


def test_a_sweep_that_is_killed_takes_its_runs_with_it_and_they_save(tmp_path):
    command = [sys.executable, "-m", "roadmap", "sweep", "--step", "kernel_7", "--seeds", "0", "1"]
    command += ["--scale", "pocket", "--epochs", "1000", "--device", "cpu", "--ahead", "1"]
    command += ["--output", str(tmp_path)]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    sweep = Forked(command, env=environment, stderr=subprocess.PIPE, text=True)
    first, second = (tmp_path / f"resnet50-kernel_7-seed{seed}" for seed in (0, 1))
    try:
        # One trains, the other waits for its turn.
        wait_for(lambda: read_progress(first).epochs and is_locked(second))
        runs = children(sweep.pid)
    finally:
        sweep.kill()
        sweep.wait()
    assert len(runs) == 2
    wait_for(lambda: not runs & {process.pid for process in listed()})
    assert [read_progress(folder).status for folder in (first, second)] == ["interrupted"] * 2
    assert all(last_step(folder / "checkpoints") for folder in (first, second))


def wait_for(true, seconds: float = 120) -> None:
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "nothing happened"
        time.sleep(0.05)
