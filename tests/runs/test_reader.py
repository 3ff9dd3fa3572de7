"""Reading run folders: records, curves, locks, several folders, runs of designs."""

from __future__ import annotations

import errno
import json
import multiprocessing
import os
import shutil
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from fake_runs import write_run
from run_folders import change, only, why

from roadmap.errors import FolderInUseError
from roadmap.runs import Machine, RunsReader, curves, judged_by, lock, read_runs, reader
from roadmap.runs.folders import RUNS_VARIABLE, runs_folder, runs_folders
from roadmap.runs.lock import FolderLock, is_locked, open_lock, take
from roadmap.runs.metrics import CLOCK_COLUMNS, COLUMNS
from roadmap.steps import ROADMAPS
from roadmap.tables import results
from roadmap.tables.results import RESULTS, ResultsError


def test_a_finished_run(tmp_path):
    folder = write_run(tmp_path, "gelu", 3, 71.25, epochs=4)
    run = only(tmp_path)
    assert (run.path, run.data, run.roadmap, run.step, run.seed) == (
        folder,
        "tiny",
        "resnet50",
        "gelu",
        3,
    )
    assert run.finished
    assert run.top1 == run.scores["top1"] == 71.25
    assert run.machine == ("NVIDIA H200", False, 1)
    assert run.scores["ema_top1"] is None
    assert (run.epochs, run.seconds, run.wall_seconds) == (4, 40.0, 50.0)
    assert (run.recipe["epochs"], run.recipe["train_size"], run.recipe_name) == (4, 64, None)


def test_curves_have_a_value_an_epoch(tmp_path):
    write_run(tmp_path, top1=71.25, epochs=4)
    columns = curves(only(tmp_path))
    assert tuple(columns) == COLUMNS
    assert columns["epoch"] == [1, 2, 3, 4]
    assert columns["top1"] == sorted(columns["top1"])
    assert columns["top1"][-1] == 71.25
    assert columns["ema_top1"] == [None] * 4


def test_curves_of_a_run_that_has_just_begun_are_empty(tmp_path):
    (write_run(tmp_path, done=0) / "metrics.csv").unlink()
    run = only(tmp_path)
    assert (run.epochs, run.seconds) == (0, 0)
    assert set(map(tuple, curves(run).values())) == {()}


def test_curves_of_a_table_without_rows_are_empty(tmp_path):
    write_run(tmp_path, done=0)
    assert curves(only(tmp_path)) == {name: [] for name in COLUMNS}
    assert set(CLOCK_COLUMNS) < set(COLUMNS)


@pytest.mark.parametrize("cell", ["nan", "inf", "-inf", "x"])
def test_a_cell_that_is_no_number_is_quoted(tmp_path, cell):
    folder = write_run(tmp_path)
    run = only(tmp_path)
    table = (folder / "metrics.csv").read_text()
    (folder / "metrics.csv").write_text(table.replace(",5000.0,", f",{cell},", 1))
    with pytest.raises(ResultsError, match=rf"metrics\.csv .*{cell}"):
        curves(run)
    (folder / "metrics.csv").write_text(table.replace(",10.0\n", f",{cell}\n", 1))
    assert "line 2" in why(tmp_path)


@pytest.mark.parametrize("rows", [1, 3])
def test_rows_longer_than_the_header_are_no_curves(tmp_path, rows):
    folder = write_run(tmp_path)
    run = only(tmp_path)
    table = (folder / "metrics.csv").read_text()
    (folder / "metrics.csv").write_text(table.replace(",10.0\n", ",10.0,1\n", rows))
    with pytest.raises(ResultsError, match=r"metrics\.csv"):
        curves(run)


def test_curves_that_have_gone_or_broken_are_one_sentence(tmp_path):
    folder = write_run(tmp_path)
    run = only(tmp_path)
    table = (folder / "metrics.csv").read_text()
    (folder / "metrics.csv").write_text(table[:-20])
    with pytest.raises(ResultsError, match=r"metrics\.csv cannot be read"):
        curves(run)
    (folder / "metrics.csv").unlink()
    with pytest.raises(ResultsError, match="no longer exists"):
        curves(run)


def test_a_running_run_whose_process_is_gone_has_stopped(tmp_path):
    folder = write_run(tmp_path, epochs=5, done=2)
    assert only(tmp_path).status == "stopped"  # without a lock, as after a copy
    (folder / ".lock").touch()
    assert only(tmp_path).status == "stopped"
    assert only(tmp_path).epochs == 2
    assert only(tmp_path).scores == {}


def test_a_run_that_another_process_trains_is_running(tmp_path):
    folder = write_run(tmp_path, epochs=5, done=2)
    context = multiprocessing.get_context("spawn")
    held, done = context.Event(), context.Event()
    process = context.Process(target=hold, args=(folder, held, done))
    process.start()
    assert held.wait(60)
    assert only(tmp_path).status == "running"
    assert is_locked(folder)
    assert only(tmp_path).status == "running"  # having looked has not let it go
    done.set()
    process.join(60)
    assert only(tmp_path).status == "stopped"


def hold(folder: Path, held, done) -> None:
    with FolderLock(folder):
        held.set()
        done.wait(60)


def locks(monkeypatch, *answers: int) -> None:
    """Make locking fail with each of ``answers``, error numbers, and succeed at 0 and after."""
    left = list(answers)

    def lockf(_file, _kind):
        number = left.pop(0) if left else 0
        if number:
            raise OSError(number, os.strerror(number))

    monkeypatch.setattr(lock.fcntl, "lockf", lockf)


def test_whoever_looks_at_a_lock_does_not_keep_a_run_from_it(tmp_path, monkeypatch):
    locks(monkeypatch, errno.EAGAIN, errno.EACCES)
    with FolderLock(tmp_path) as held:
        assert held.exists
    locks(monkeypatch, *[errno.EAGAIN] * 1000)
    monkeypatch.setattr(lock, "PATIENCE", 0.1)
    with pytest.raises(FolderInUseError, match="another process is training"), FolderLock(tmp_path):
        pass


@pytest.mark.parametrize("number", [errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS])
def test_a_file_system_without_locks_is_not_another_process(tmp_path, monkeypatch, number):
    locks(monkeypatch, *[number] * 2)
    with FolderLock(tmp_path) as held:
        assert not held.exists
        assert is_locked(tmp_path) is None


def test_where_locks_cannot_be_told_a_running_run_is_believed(tmp_path, monkeypatch):
    folder = write_run(tmp_path, epochs=5, done=2)
    (folder / ".lock").mkdir()
    assert is_locked(folder) is None
    assert only(tmp_path).status == "running"
    monkeypatch.setattr(lock, "fcntl", None)  # as on Windows
    assert is_locked(folder) is None
    with (tmp_path / "file").open("w") as file:
        assert take(file) is None


def test_a_lock_is_for_everybody_who_may_write_here(tmp_path, monkeypatch):
    before = os.umask(0)
    try:
        with open_lock(tmp_path, "w") as file:
            assert take(file) is True
            assert stat.S_IMODE(os.fstat(file.fileno()).st_mode) == 0o666
            locks(monkeypatch, errno.EACCES, errno.ENOLCK)
            assert take(file) is False
            assert take(file) is None
    finally:
        os.umask(before)
    assert [path.name for path in tmp_path.iterdir()] == [".lock"]


@pytest.mark.parametrize("status", ["interrupted", "failed"])
def test_a_run_that_ended_early_says_why(tmp_path, status):
    folder = write_run(tmp_path, epochs=5, done=2)
    change(folder, status=status, reason="stopped and saved", wall_seconds=9.0)
    run = only(tmp_path)
    assert (run.status, run.reason, run.finished) == (status, "stopped and saved", False)


def test_the_folder_of_runs_is_the_projects_unless_another_is_named(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv(RUNS_VARIABLE, raising=False)
    assert runs_folder() == RESULTS / "runs"
    assert runs_folders() == (RESULTS / "runs",)
    monkeypatch.setenv("ROADMAP_RUNS", "")
    assert runs_folders() == (runs_folder(),) == (RESULTS / "runs",)
    monkeypatch.setenv("ROADMAP_RUNS", "mine")
    assert runs_folders() == (runs_folder(),) == (tmp_path / "mine",)


def test_an_installed_package_reads_its_own_runs_after_those_of_the_working_directory(
    tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv(RUNS_VARIABLE, raising=False)
    monkeypatch.setattr(results, "INSTALLED", True)
    assert runs_folder() == tmp_path / "results" / "runs"
    assert runs_folders() == (tmp_path / "results" / "runs", RESULTS / "runs")


def test_runs_of_several_folders_are_read_and_of_namesakes_the_first(tmp_path):
    mine, shipped = tmp_path / "mine", tmp_path / "shipped"
    write_run(shipped, "kernel_7", top1=60.0)
    write_run(shipped, "kernel_9", top1=61.0)
    write_run(mine, "kernel_7", top1=70.0)
    found = RunsReader(mine, shipped).read()
    assert [run.path.parts[-3] for run in found.runs] == ["mine", "shipped"]
    assert [run.step for run in found.runs] == ["kernel_7", "kernel_9"]


def test_only_what_has_changed_is_read_again(tmp_path, monkeypatch):
    asked = []
    whole = reader.read_run
    monkeypatch.setattr(reader, "read_run", lambda path: asked.append(path.name) or whole(path))

    def read():
        asked.clear()
        return found.read(), sorted(asked)

    done = write_run(tmp_path, "gelu")
    going = write_run(tmp_path, "kernel_7", epochs=5, done=2)
    (tmp_path / "tiny" / "empty").mkdir()
    found = RunsReader(tmp_path)
    first, names = read()
    assert names == sorted([done.name, going.name, "empty"])
    assert read() == (first, [going.name])  # only its lock says whether it still runs
    table = done / "metrics.csv"
    before = table.stat()
    os.utime(table, ns=(before.st_atime_ns, before.st_mtime_ns + 1))
    assert read() == (first, sorted([done.name, going.name]))
    change(done, seed=7)
    os.utime(done / "run.json", ns=(1, 1))
    assert read()[0].runs[0].seed == 7
    change(done, seed=77)
    os.utime(done / "run.json", ns=(1, 1))  # of the same time, and longer
    assert read()[0].runs[0].seed == 77
    shutil.rmtree(done)
    assert [run.step for run in read()[0].runs] == ["kernel_7"]


def test_a_run_that_is_believed_to_run_is_looked_at_again(tmp_path, monkeypatch):
    write_run(tmp_path, epochs=5, done=2)
    monkeypatch.setattr(reader, "is_locked", lambda _: True)
    found = RunsReader(tmp_path)
    assert [run.status for run in found.read().runs] == ["running"]
    monkeypatch.setattr(reader, "is_locked", lambda _: False)
    assert [run.status for run in found.read().runs] == ["stopped"]
    monkeypatch.setattr(reader, "is_locked", lambda _: True)
    assert [run.status for run in found.read().runs] == ["running"]


def test_a_step_is_judged_by_the_average_of_its_weights_if_its_recipe_has_one():
    assert judged_by(ROADMAPS["torchvision_recipe"], "ema") == "ema_top1"
    assert judged_by(ROADMAPS["torchvision_recipe"], "baseline") == "top1"


def test_a_machine_in_words():
    assert str(Machine("NVIDIA H200", True, 1)) == "NVIDIA H200, compiled"
    assert str(Machine("NVIDIA H200", False, 2)) == "2 × NVIDIA H200, eager"


def test_namesakes_of_other_data_are_other_runs(tmp_path):
    mine, shipped = tmp_path / "mine", tmp_path / "shipped"
    write_run(mine, data="a")
    write_run(shipped, data="b")
    (shipped / "b" / "empty").mkdir()
    found = RunsReader(mine, shipped).read()
    assert [run.data for run in found.runs] == ["a", "b"]


@pytest.mark.skipif(sys.platform != "linux", reason="names of any bytes")
def test_a_folder_whose_name_is_no_text_is_listed_under_one_that_is(tmp_path):
    write_run(tmp_path)
    (tmp_path / "tiny" / os.fsdecode(b"run\xff")).mkdir()
    (tmp_path / os.fsdecode(b"a\xff")).mkdir()
    found = read_runs(tmp_path)
    assert len(found.runs) == 1
    names = [folder.path.name for folder in found.unreadable]
    assert names == [r"a\udcff", r"run\udcff"]
    assert all("Unicode" in folder.why for folder in found.unreadable)


def test_reading_runs_brings_neither_torch_nor_pandas():
    code = "import sys, roadmap.runs; sys.exit(bool({'torch', 'pandas'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


# -- runs of designs ---------------------------------------------------------------------------


def _point_run(root, **changes):
    folder = write_run(root, "baseline", 0)
    path = folder / "run.json"
    facts = json.loads(path.read_text())
    point = {"design": "d", "key": "001", "role": "fit", "levels": {"gelu": "on"}}
    facts |= {"step": None, "point": {**point, **changes}}
    path.write_text(json.dumps(facts))


def test_runs_of_designs_are_apart_from_those_of_steps(tmp_path):
    _point_run(tmp_path)
    found = read_runs(tmp_path)
    assert (found.runs, found.unreadable) == ((), ())
    (run,) = found.points
    assert (run.step, run.point) == (None, ("d", "001", "fit", {"gelu": "on"}))
    assert {run, *read_runs(tmp_path).points} == {run}  # hashable, although its levels are not


@pytest.mark.parametrize(
    "changes",
    [
        {"levels": ["gelu"]},
        {"levels": {"gelu": 1}},
        {"levels": None},
        {"design": 3},
        {"key": None},
        {"role": {"fit": True}},
    ],
)
def test_a_point_that_is_none_is_unreadable(tmp_path, changes):
    _point_run(tmp_path, **changes)
    found = read_runs(tmp_path)
    assert (found.runs, found.points) == ((), ())
    assert "run.json: point" in found.unreadable[0].why
