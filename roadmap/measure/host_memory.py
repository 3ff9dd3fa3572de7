"""Free memory of this machine or container."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

MEMINFO, CGROUP, CGROUPS = Path("/proc/meminfo"), Path("/proc/self/cgroup"), Path("/sys/fs/cgroup")
#: Names of the limit, the usage and the reclaimable file cache: control groups version 2, then 1.
VERSIONS = (
    ("memory.max", "memory.current", "inactive_file"),
    ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
)


def free_memory() -> int | None:
    """Return the free bytes: the minimum of the machine and the containers of this process.

    If the system does not report free memory, returns its total memory, or None if unknown.
    """
    return min((*_of_machine(), *_of_containers()), default=None)


def _of_machine() -> Iterator[int]:
    with suppress(OSError):
        for line in MEMINFO.read_text().splitlines():
            name, _, value = line.partition(":")
            if name == "MemAvailable":
                yield 1024 * int(value.split()[0])
                return
    with suppress(AttributeError, OSError, ValueError):  # macOS, not Windows
        yield os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def _of_containers() -> Iterator[int]:
    """Yield the free bytes of each memory limit."""
    for folder in _groups():
        for limit, use, cache in VERSIONS:
            with suppress(OSError, ValueError):  # "max" is no limit
                allowed, used = (int((folder / name).read_text()) for name in (limit, use))
                lines = (folder / "memory.stat").read_text().splitlines()
                given_up = int(dict(line.split() for line in lines).get(cache, 0))
                yield max(0, allowed - used + given_up)


def _groups() -> Iterator[Path]:
    """Yield the visible control groups of this process and their parents."""
    try:
        lines = CGROUP.read_text().splitlines()
    except OSError:
        return
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if controllers and "memory" not in controllers.split(","):
            continue
        top = CGROUPS / "memory" if controllers else CGROUPS
        own = top / path.lstrip("/")
        yield from (folder for folder in (own, *own.parents) if folder.is_relative_to(top))
