"""Other work on this machine while something is timed. Imports no torch."""

from __future__ import annotations

import os
import subprocess
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

STAT = Path("/proc/stat")
#: Share of the machine's cores from which other processes' work disturbs a measurement, by device:
#: on a GPU, the CPU only starts kernels, so a core must be free for it.
BUSY_CPU = {"cpu": 0.10, "mps": 0.50, "cuda": 0.85}
#: Utilization by others, in percent, from which a GPU counts as busy.
BUSY_GPU = 5.0
#: Ratio of the 90th to the 10th percentile from which repetitions are too far apart.
SPREAD = {"cpu": 1.6, "mps": 1.4, "cuda": 1.3}


@dataclass(frozen=True)
class _Times:
    """CPU seconds of the whole machine and of this process, and the time of the clock."""

    machine: float
    own: float
    clock: float


class CpuWatch:
    """Measures the share of all cores that other processes use from its creation on."""

    def __init__(self) -> None:
        self._begun = _times()

    def others(self) -> float | None:
        """Return the share, from 0 to 1; None if the system does not report it (not Linux)."""
        begun, now = self._begun, _times()
        if begun is None or now is None or now.clock <= begun.clock:
            return None
        seconds = (now.machine - begun.machine) - (now.own - begun.own)
        share = seconds / ((now.clock - begun.clock) * (os.cpu_count() or 1))
        return min(max(share, 0.0), 1.0)


def _times() -> _Times | None:
    try:
        fields = STAT.read_text().split("\n", 1)[0].split()[1:]
        user, nice, system, _idle, _wait, irq, soft, steal = map(int, fields[:8])
    except (OSError, ValueError):
        return None
    busy = (user + nice + system + irq + soft + steal) / os.sysconf("SC_CLK_TCK")
    own = os.times()
    children = own.children_user + own.children_system
    return _Times(busy, own.user + own.system + children, time.monotonic())


def gpu_use() -> float | None:
    """Return the current utilization of the first visible GPU in percent; None if unknown.

    Call it before this process uses the GPU: it counts all processes. It is over the last second.
    """
    visible = os.environ.get("CUDA_VISIBLE_DEVICES", "0").split(",")[0].strip() or "0"
    query = ["nvidia-smi", f"--id={visible}", "--query-gpu=utilization.gpu"]
    with suppress(OSError, ValueError, subprocess.SubprocessError):
        answer = subprocess.run(
            [*query, "--format=csv,noheader,nounits"], capture_output=True, text=True, timeout=10
        )
        return float(answer.stdout.split()[0]) if answer.stdout.strip() else None
    return None


def disturbed(device: str, cpu: float | None, gpu: float | None, spread: float) -> str:
    """Return what disturbed a measurement on ``device``, as a clause, or an empty string.

    ``cpu`` is the share of cores that others used, ``gpu`` the GPU's utilization by others in
    percent, ``spread`` the ratio of the 90th to the 10th percentile of the repetitions.
    """
    if gpu is not None and gpu > BUSY_GPU:
        return f"other processes used {gpu:.0f}% of the GPU"
    if cpu is not None and cpu > BUSY_CPU[device]:
        return f"other processes used {100 * cpu:.0f}% of the machine's cores"
    if spread > SPREAD[device]:
        return f"the slowest runs took {spread:.1f} times as long as the fastest"
    return ""
