"""What is left of the memory: the least of the machine and of the containers around us."""

from __future__ import annotations

import pytest

from roadmap.measure import host_memory as memory

GB = 10**9


@pytest.fixture
def machine(tmp_path, monkeypatch):
    """Writes the files by which Linux says what is free; none are there at first."""
    for name, path in {"MEMINFO": "meminfo", "CGROUP": "own", "CGROUPS": "cgroup"}.items():
        monkeypatch.setattr(memory, name, tmp_path / path)

    def write(**files: str) -> None:
        for name, text in files.items():
            path = tmp_path / name.replace("__", "/").replace("DOT", ".")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)

    return write


def test_of_a_machine(machine):
    machine(meminfo="MemTotal: 9 kB\nMemFree: 2000000 kB\nMemAvailable: 4000000 kB\n")
    assert memory.free_memory() == 1024 * 4_000_000


def group(folder: str, limit: str, use: int, cache: int = 0) -> dict[str, str]:
    return {
        f"{folder}__memoryDOTmax": limit,
        f"{folder}__memoryDOTcurrent": str(use),
        f"{folder}__memoryDOTstat": f"anon 5\ninactive_file {cache}\n",
    }


def test_of_a_container(machine):
    machine(meminfo="MemAvailable: 64000000 kB", own="0::/\n")
    machine(**group("cgroup", str(2 * GB), 1_500_000_000, 200_000_000))
    assert memory.free_memory() == 700_000_000


def test_the_tightest_of_several_groups_counts(machine):
    machine(meminfo="MemAvailable: 64000000 kB", own="0::/outer/inner\n")
    machine(**group("cgroup__outer", str(GB), GB - 5))
    machine(**group("cgroup__outer__inner", "max", 7))
    assert memory.free_memory() == 5


def test_of_a_container_of_version_1(machine):
    machine(meminfo="MemAvailable: 64000000 kB", own="4:cpu:/x\n9:memory:/docker/abc\n")
    folder = "cgroup__memory__memory"
    machine(
        **{
            f"{folder}DOTlimit_in_bytes": str(GB),
            f"{folder}DOTusage_in_bytes": str(GB // 2),
            f"{folder}DOTstat": "total_inactive_file 100\n",
        }
    )
    assert memory.free_memory() == GB // 2 + 100


def test_where_nothing_is_said_it_is_all_that_the_machine_has(machine):
    assert machine
    assert memory.free_memory() is None or memory.free_memory() > GB // 4
