"""Work in a process of its own: it ends with a result, a sentence, or at once when stopped."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from forked import Forked
from processes import in_group

from models import ModelConfig
from roadmap.background import queue as jobs
from roadmap.background.queue import Job
from roadmap.errors import RefusedError

SMALL = ModelConfig(depths=(1, 1), width=8, num_classes=7, in_channels=2)


@pytest.fixture
def forked(monkeypatch):
    """Workers are forked, not started: test_files_go_with_the_job starts one."""
    monkeypatch.setattr(jobs.subprocess, "Popen", Forked)


def after(job: Job, *states: str) -> str:
    """The job's state once it is one of ``states``."""
    within_a_minute(lambda: job.look() in states)
    return job.state


def within_a_minute(condition: Callable[[], bool]) -> bool:
    for _ in range(1200):
        if condition():
            return True
        time.sleep(0.05)
    return False


def measuring(config: ModelConfig = SMALL, **setting) -> Job:
    fields = {"mode": "training", "batch_size": 2, "image_size": 32, **setting}
    return Job("measure", config=config.to_dict(), setting=fields).start()


def measuring_long() -> Job:
    """One that takes minutes."""
    return measuring(ModelConfig(depths=(3, 24, 36, 3)), batch_size=64, image_size=224)


@pytest.mark.usefixtures("forked")
def test_a_refusal_is_a_sentence():
    job = measuring(image_size=1, batch_size=1)  # batch norm over one value
    assert after(job, "done", "failed") == "failed"
    assert "more than 1 value per channel" in job.error


@pytest.mark.usefixtures("forked")
def test_canceling_ends_it_and_the_next_one_runs_to_its_end():
    long = measuring_long()
    assert after(long, "running") == "running"
    waiting, never = measuring(), measuring()
    time.sleep(0.5)
    assert (waiting.state, never.state) == ("waiting", "waiting")
    never.cancel()
    assert after(never, "canceled") == "canceled"
    long.cancel()
    assert after(long, "canceled") == "canceled"
    assert after(waiting, "done", "failed") == "done", waiting.error
    assert waiting.result["low"] <= waiting.result["images_per_s"] <= waiting.result["high"]
    assert waiting.done == waiting.total == 15


def test_the_time_left_follows_the_pace_of_the_steps(monkeypatch):
    clock = [100.0]
    monkeypatch.setattr(jobs.time, "monotonic", lambda: clock[0])
    job = Job("measure")
    assert job.seconds_left is None
    for done in range(1, 4):
        job._stepped(done, 10)
        assert (job.seconds_left is None) == (done == 1)
        clock[0] += 2
    assert job.seconds_left == 12  # 7 steps of 2 s, of which 2 s have passed
    clock[0] += 60
    assert job.seconds_left == 0


@pytest.mark.usefixtures("forked")
def test_a_process_that_dies_is_a_sentence(monkeypatch):
    job = Job("no such task").start()
    assert after(job, "failed") == "failed"
    assert job.error == "The process ended early, with exit code 1."
    started = jobs._process
    monkeypatch.setattr(jobs, "_ready_process", lambda: killed(started()))
    job = measuring()
    assert after(job, "failed") == "failed"
    assert "killed, probably out of memory" in job.error


def killed(process: subprocess.Popen) -> subprocess.Popen:
    process.kill()
    return process


@pytest.mark.usefixtures("forked")
def test_a_job_that_nobody_looks_at_ends(monkeypatch):
    monkeypatch.setattr(jobs, "ABANDONED", 0.2)
    job = measuring_long()
    assert within_a_minute(lambda: job.state == "canceled")


@pytest.mark.usefixtures("forked")
def test_a_job_ends_soon_after_its_page_is_closed_and_the_next_one_runs(monkeypatch):
    monkeypatch.setattr(jobs, "GONE", 0.5)
    is_open = [True]
    long = measuring_long()
    long.wanted = lambda: is_open[0]
    assert after(long, "running") == "running"
    waiting = measuring()
    time.sleep(1)
    assert (long.look(), waiting.look()) == ("running", "waiting")
    is_open[0] = False
    assert after(long, "canceled") == "canceled"
    assert after(waiting, "done", "failed") == "done", waiting.error


def test_a_waiting_job_ends_soon_after_its_page_is_closed(monkeypatch):
    monkeypatch.setattr(jobs, "GONE", 0.5)
    with jobs._TURN:
        job = measuring()
        job.wanted = lambda: False
        assert after(job, "canceled") == "canceled"


def test_a_job_goes_on_while_a_connection_is_lost_briefly(monkeypatch):
    clock, here = [100.0], [True]
    monkeypatch.setattr(jobs.time, "monotonic", lambda: clock[0])
    job = Job("measure", lambda: here[0])
    for here[0] in [True, False, False] * 10:
        clock[0] += 0.4 * jobs.GONE
        job.look()
        assert not job._unwanted()
    clock[0] += 0.4 * jobs.GONE
    assert job._unwanted()


@pytest.mark.usefixtures("forked")
def test_a_job_that_takes_longer_than_it_may_is_a_sentence():
    setting = {"mode": "training", "batch_size": 64, "image_size": 224}
    config = ModelConfig(depths=(3, 24, 36, 3))
    job = Job("measure", longest=1.0, config=config.to_dict(), setting=setting).start()
    assert after(job, "failed", "canceled") == "failed"
    assert job.error == "Stopped after 1 s: try a smaller network."


@pytest.mark.usefixtures("forked")
def test_a_candidate_is_measured_by_name_or_as_a_config():
    setting = {"batch_size": 2, "image_size": 32, "device": "cpu"}
    by_name = Job("measure_candidate", source="timm", name="test_efficientnet", setting=setting)
    own = Job(
        "measure_candidate",
        source="config",
        name="mine",
        config=SMALL.to_dict(),
        setting={**setting, "in_channels": 2},
    )
    for job, place in ((by_name, ("timm", "test_efficientnet")), (own, ("config", "mine"))):
        job.start()
        assert after(job, "done", "failed") == "done", job.error
        assert (job.result["source"], job.result["name"]) == place
        assert job.result["images_per_s"] > 0
        assert isinstance(job.result["disturbed"], str)


@pytest.mark.usefixtures("forked")
def test_a_prepared_process_takes_the_next_job(monkeypatch):
    jobs.prepare()
    spare = jobs._spare
    jobs.prepare()
    assert jobs._spare is spare
    monkeypatch.setattr(jobs, "_process", None)  # there is no need for another
    job = measuring()
    assert after(job, "done", "failed") == "done", job.error
    assert jobs._spare is None
    assert spare.wait(60) is not None


@pytest.mark.usefixtures("forked")
def test_a_prepared_process_does_not_wait_for_ever(monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(jobs, "ABANDONED", 0.2)
        jobs.prepare()
        spare = jobs._spare
        assert spare.wait(60) is not None
        assert jobs._spare is None
    job = measuring()  # in a process of its own
    assert after(job, "done", "failed") == "done", job.error


def test_files_go_with_the_job():
    job = Job("export", form="safetensors", config=SMALL.to_dict(), seed=1, image_size=32)
    path = job.folder / "network.safetensors"
    assert after(job.start(path=str(path)), "done", "failed") == "done", job.error
    assert path.is_file()
    del job
    assert gone(path)  # once its thread has ended


def test_a_prepared_process_ends_with_a_server_that_is_killed():
    code = "from roadmap.background import queue; queue.prepare(); print(1, flush=True)"
    command = [sys.executable, "-c", f"{code}; import time; time.sleep(99)"]
    options = {"cwd": jobs.START, "stdout": subprocess.PIPE, "start_new_session": True}
    with Forked(command, **options) as server:
        server.stdout.readline()
        assert len(in_group(server.pid)) == 2
        server.kill()
    assert within_a_minute(lambda: not in_group(server.pid))


def test_the_process_ends_with_whoever_asked():
    """A server that is killed cannot stop it; its end of the pipe is closed then."""
    request = {"task": "measure", "config": ModelConfig().to_dict(), "setting": {"batch_size": 64}}
    worker = Forked(
        [sys.executable, "-m", "roadmap.background.worker"],
        cwd=jobs.START,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert worker.communicate(json.dumps(request) + "\n", timeout=120) == ("", "")
    assert worker.returncode == 1


# Files and the queue, with a process that answers at once

ANSWERS = """
import json, sys
from pathlib import Path
request = json.loads(sys.stdin.readline())
if "path" in request:
    Path(request["path"]).write_bytes(bytes(1000))
print(json.dumps(request.get("answer", {"result": {}})), flush=True)
"""


@pytest.fixture
def at_once(monkeypatch):
    def process() -> subprocess.Popen:
        command = [sys.executable, "-c", ANSWERS]
        return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    monkeypatch.setattr(jobs, "_ready_process", process)
    monkeypatch.setattr(jobs, "WATCH", 0.05)


def made(**request) -> Job:
    job = Job("export", **request)
    job.start(path=str(job.folder / "network.onnx"))
    after(job, "done", "failed")
    return job


def gone(path: Path) -> bool:
    return within_a_minute(lambda: not path.exists())


@pytest.mark.usefixtures("at_once")
def test_files_go_when_the_session_has_gone():
    here = [True]
    job = made()
    job.wanted = lambda: here[0]
    time.sleep(0.3)
    assert (job.folder / "network.onnx").exists()
    here[0] = False
    assert gone(job.folder)
    assert job.state == "expired"


@pytest.mark.usefixtures("at_once")
def test_files_are_not_kept_for_ever(monkeypatch):
    monkeypatch.setattr(jobs, "KEPT", 0.2)
    assert gone(made().folder)


@pytest.mark.usefixtures("at_once")
def test_what_a_failure_left_goes_at_once():
    assert gone(made(answer={"error": "no"}).folder)


def test_a_full_queue_is_a_sentence(monkeypatch):
    monkeypatch.setattr(jobs, "_QUEUE", threading.BoundedSemaphore(2))
    with jobs._TURN:
        waiting = [measuring(), measuring()]
        with pytest.raises(RefusedError, match="already waiting on this machine"):
            measuring()
        for job in waiting:
            job.cancel()
            assert after(job, "canceled") == "canceled"
    assert gone(waiting[0].folder)
    assert within_a_minute(lambda: jobs._QUEUE._value == 2)


def test_a_worker_leaves_nothing_where_libraries_put_their_files(tmp_path):
    """A process that is killed cleans up nothing itself: it works in the job's folder."""
    code = "import tempfile; from roadmap.background import worker; worker.TASKS['where'] = "
    code += "lambda *_: {'at': tempfile.mkdtemp()}; worker.main()"
    request = json.dumps({"task": "where", "folder": str(tmp_path)}) + "\n"
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with Forked([sys.executable, "-c", code], cwd=jobs.START, **pipes) as worker:
        worker.stdin.write(request)
        worker.stdin.flush()
        assert Path(json.loads(worker.stdout.readline())["result"]["at"]).parent == tmp_path


def test_a_worker_says_that_memory_ran_out():
    """In a kind of error that is no MemoryError."""
    code = "from roadmap.background import worker\n"
    code += "def short(*_): raise RuntimeError('MPS backend out of memory')\n"
    code += "worker.TASKS['short'] = short; worker.main()"
    pipes = dict.fromkeys(("stdin", "stdout"), subprocess.PIPE)
    with Forked([sys.executable, "-c", code], cwd=jobs.START, **pipes, text=True) as worker:
        worker.stdin.write('{"task": "short"}\n')
        worker.stdin.flush()
        assert "ran out of memory" in json.loads(worker.stdout.readline())["error"]
