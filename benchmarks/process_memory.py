"""Memory and processor time of a server and its descendants, detached ones included. Linux only."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

SEEN = (FileNotFoundError, PermissionError, ProcessLookupError)  # the process has just ended


def marked(name: str, value: str) -> list[int]:
    """Return the processes, oldest first, whose environment variable ``name`` is ``value``."""
    wanted = f"{name}={value}".encode()
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(*SEEN):
            if wanted in (folder / "environ").read_bytes().split(b"\0"):
                found.append(int(folder.name))
    return sorted(found)


def megabytes(processes: list[int]) -> float:
    """Return the proportional set size in 1e6 bytes; shared memory counts once."""
    total = 0
    for process in processes:
        with suppress(*SEEN):
            lines = Path(f"/proc/{process}/smaps_rollup").read_text(encoding="ascii").splitlines()
            total += next(int(line.split()[1]) for line in lines if line.startswith("Pss:"))
    return total * 1024 / 1e6


def cpu_seconds(process: int) -> float:
    """Return the processor time of all threads."""
    fields = Path(f"/proc/{process}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
