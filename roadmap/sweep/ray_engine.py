"""An engine on a Ray cluster: one task per GPU, restarted on another node if its node dies.

Every node needs this project, and the run folders must be on shared storage: a restarted run
resumes from its last checkpoint there.
"""

from __future__ import annotations

import contextlib
import logging
import os
import socket
import traceback
from typing import Any

from roadmap.errors import RefusedError, TrainingError
from roadmap.sweep.engine import LOG, Ending, failed, failure_line
from roadmap.sweep.plan import PlannedRun
from roadmap.text import counted

#: Number of times that a run may lose its node.
MOST_LOSSES = 10
#: Seconds that runs have to save when a sweep is stopped.
SAVING = 120


class RayEngine:
    """Runs jobs on the cluster at ``address`` [default: this machine's, started if needed].

    A run takes one GPU; it takes all CPUs of a node if ``device`` is another device than ``cuda``,
    or is None and the cluster has no GPU. Raises ``RefusedError`` if Ray is missing, or the cluster
    is unreachable or lacks the devices.
    """

    def __init__(self, address: str | None = None, *, device: str | None = None):
        try:
            import ray
        except ImportError:
            raise RefusedError(
                "--engine ray needs Ray: install this project with the [ray] extra, or run "
                "pip install ray"
            ) from None
        self._ray = ray
        _check_reachable(address)
        try:
            ray.init(address=address, logging_level=logging.ERROR, log_to_driver=False)
        except (ConnectionError, RuntimeError, ValueError) as error:
            reason = str(error).strip().splitlines()[0]
            raise RefusedError(
                f"the Ray cluster at {address} cannot be reached: {reason}"
            ) from None
        try:
            self._gpus = self._takes_gpus(device)
        except RefusedError:
            ray.shutdown()
            raise
        # No CPUs are requested with a GPU, as a node may have fewer CPUs than GPUs.
        resources = {"num_gpus": 1, "num_cpus": 0} if self._gpus else {"num_cpus": self._cpus()}
        # max_calls: one process per run, so that runs do not affect each other.
        options: dict[str, Any] = {"max_calls": 1, "max_retries": MOST_LOSSES, **resources}
        self._train = ray.remote(**options)(_train)
        self._planned: dict[Any, PlannedRun] = {}

    @property
    def slots(self) -> int:
        """Return the current number of slots, since the cluster may grow and shrink."""
        resources = self._ray.cluster_resources()
        found = resources.get("GPU", 0) if self._gpus else resources.get("CPU", 0) / self._cpus()
        return max(1, int(found))

    @property
    def devices(self) -> int:
        return self.slots

    def start(self, run: PlannedRun) -> None:
        self._planned[self._train.remote(run)] = run

    def running(self) -> list[PlannedRun]:
        return list(self._planned.values())

    def starting(self) -> list[PlannedRun]:
        return []

    def endings(self) -> list[Ending]:
        if not self._planned:
            return []
        ended, _ = self._ray.wait(list(self._planned), num_returns=len(self._planned), timeout=0)
        return [self._ending(reference) for reference in ended]

    def stop(self) -> None:
        for reference in self._planned:
            self._ray.cancel(reference)
        if self._planned:
            self._ray.wait(list(self._planned), num_returns=len(self._planned), timeout=SAVING)
        self._ray.shutdown()

    def _ending(self, reference: Any) -> Ending:
        run = self._planned.pop(reference)
        try:
            code, line = self._ray.get(reference)
            return failed(run, code, line) if code else Ending(run, code)
        except self._ray.exceptions.RayError as error:
            return Ending(run, 1, str(error).strip().splitlines()[-1])

    def _takes_gpus(self, device: str | None) -> bool:
        found = self._ray.cluster_resources()
        gpus, cpus = found.get("GPU", 0), found.get("CPU", 0)
        if device == "cuda" and gpus < 1:
            raise RefusedError(
                f"--device cuda: the Ray cluster has no GPU, only {counted(int(cpus), 'CPU')}; use "
                "--device cpu, or start a node with a GPU first"
            )
        takes = gpus >= 1 and device in (None, "cuda")
        if not takes and not cpus:
            nothing = "no CPUs" if gpus else "no GPUs and no CPUs"
            raise RefusedError(f"the Ray cluster has {nothing}: start a node that has some first")
        return takes

    def _cpus(self) -> float:
        """Return the CPUs of the smallest node that has any."""
        nodes = (node["Resources"].get("CPU", 0) for node in self._ray.nodes() if node["Alive"])
        return min((cpus for cpus in nodes if cpus), default=1)


def _check_reachable(address: str | None) -> None:
    """Check the address first, since Ray tries for minutes. Names such as ``auto`` pass."""
    host, colon, port = (address or "").removeprefix("ray://").rpartition(":")
    if not colon:
        return
    try:
        socket.create_connection((host, int(port)), timeout=5).close()
    except (OSError, ValueError, OverflowError) as error:
        raise RefusedError(f"the Ray cluster at {address} cannot be reached: {error}") from None


def _train(run: PlannedRun) -> tuple[int, str]:
    """Train ``run`` on a node; return its exit code and, if it is not 0, its ``failure_line``."""
    from roadmap.train.run import train

    run.folder.mkdir(parents=True, exist_ok=True)
    with (run.folder / LOG).open("a") as log, _standard_error_to(log.fileno()):
        try:
            train(run.settings, run.notes)
        except Exception as error:
            if isinstance(error, TrainingError):
                return error.code, failure_line(error)
            traceback.print_exc()
            return TrainingError.code, failure_line(error)
    return 0, ""


@contextlib.contextmanager
def _standard_error_to(file: int) -> Any:
    before = os.dup(2)
    os.dup2(file, 2)
    try:
        yield
    finally:
        os.dup2(before, 2)
        os.close(before)
