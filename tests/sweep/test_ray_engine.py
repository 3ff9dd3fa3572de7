"""A sweep on a Ray cluster of several nodes, one of which is killed in the middle of its run."""

from __future__ import annotations

import threading
from dataclasses import replace
from pathlib import Path

import pytest
from training_runs import tiny_settings

from roadmap.errors import RefusedError
from roadmap.sweep import ray_engine
from roadmap.sweep.plan import PlannedRun, read_progress
from roadmap.sweep.ray_engine import RayEngine
from roadmap.sweep.scheduler import schedule

ray = pytest.importorskip("ray")
cluster_utils = pytest.importorskip("ray.cluster_utils")
SMALL = {"num_cpus": 1, "object_store_memory": 80 * 2**20}
#: A dead node is noticed after two seconds instead of 20; a slow one still has its ten per check.
CHECKS = {"health_check_period_ms": 500, "health_check_failure_threshold": 4}
HEAD = SMALL | {"num_cpus": 0, "include_dashboard": False, "_system_config": CHECKS}
ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def head():
    """A cluster of a head without CPUs."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OMP_NUM_THREADS", "1")
        patch.setenv("PYTHONPATH", str(ROOT))
        patch.setenv("RAY_ENABLE_UV_RUN_RUNTIME_ENV", "0")
        found = cluster_utils.Cluster(initialize_head=True, head_node_args=HEAD)
        yield found
        found.shutdown()


@pytest.fixture
def cluster(head):
    """``head``; the nodes that a test adds go with it."""
    yield head
    ray.shutdown()
    for node in list(head.worker_nodes):
        head.remove_node(node)
    head.wait_for_nodes()


def test_a_run_goes_on_elsewhere_when_its_node_is_killed(cluster, tmp_path):
    nodes = [cluster.add_node(**SMALL, resources={f"node{place}": 1}) for place in (1, 2)]
    cluster.wait_for_nodes()
    settings = tiny_settings(None, step="kernel_7", changes={"epochs": 4})
    runs = [
        PlannedRun(replace(settings, seed=seed, output=tmp_path / str(seed), checkpoint_every=0))
        for seed in (0, 1)
    ]
    with pytest.raises(RefusedError, match=r"--device cuda: the Ray cluster has no GPU.* 2 CPUs"):
        RayEngine(cluster.address, device="cuda")
    engine = RayEngine(cluster.address)
    assert engine.slots == engine.devices == 2
    killed = threading.Event()

    def watch(_state, _training, _starting) -> None:
        if not killed.is_set() and all(read_progress(run.folder).epochs >= 1 for run in runs):
            killed.set()
            cluster.remove_node(nodes[1], allow_graceful=False)

    state = schedule(runs, engine, watch, lambda: False)
    assert killed.is_set()
    assert [len(state.done), len(state.failed), len(state.retried)] == [2, 0, 0]
    assert [read_progress(run.folder).status for run in runs] == ["finished", "finished"]
    said = [(run.folder / "train.log").read_text() for run in runs]
    assert sum("resuming after step" in text for text in said) == 1


def test_the_cluster_decides_what_runs_take_and_not_this_machine(cluster, tmp_path, monkeypatch):
    """The run only makes its folder: the test above trains."""
    monkeypatch.setattr(ray_engine, "_train", lambda run: (0, run.folder.mkdir()))
    with pytest.raises(RefusedError, match="no GPUs and no CPUs"):
        RayEngine(cluster.address)
    cluster.add_node(**SMALL | {"num_cpus": 0, "num_gpus": 1})  # as far as Ray knows
    cluster.wait_for_nodes()
    with pytest.raises(RefusedError, match="no CPUs"):
        RayEngine(cluster.address, device="cpu")
    engine = RayEngine(cluster.address)
    run = PlannedRun(tiny_settings(tmp_path / "run", step="kernel_7", device=None))
    state = schedule([run], engine, lambda *_: None, lambda: False)
    assert (state.done, state.failed) == ([run], [])
    assert run.folder.is_dir()


def test_a_cluster_that_is_not_there_is_a_sentence():
    with pytest.raises(RefusedError, match=r"the Ray cluster at 127\.0\.0\.1:1 cannot be reached"):
        RayEngine("127.0.0.1:1")
