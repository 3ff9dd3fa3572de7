"""Processes as ``ps`` lists them, on Linux and macOS; those that have ended are left out."""

from __future__ import annotations

import subprocess
from typing import NamedTuple


class Listed(NamedTuple):
    pid: int
    parent: int
    group: int


def listed() -> list[Listed]:
    command = ["ps", "-A", "-o", "pid=,ppid=,pgid=,stat="]
    lines = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    # A zombie has ended; whether its parent has noticed is not our affair.
    rows = (line.split() for line in lines)
    return [Listed(*map(int, row[:3])) for row in rows if not row[3].startswith("Z")]


def in_group(group: int) -> set[int]:
    return {process.pid for process in listed() if process.group == group}


def children(pid: int) -> set[int]:
    return {process.pid for process in listed() if process.parent == pid}
