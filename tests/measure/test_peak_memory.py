"""Peak memory on the CPU, where Linux tells it."""

import ctypes
import sys

import pytest
import torch

from roadmap.measure.peak_memory import PeakMemory

MEGABYTES = 200


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux resets the peak")
def test_the_peak_outlives_the_tensor_until_restarted():
    memory = PeakMemory(torch.device("cpu"))
    tensor = torch.ones(MEGABYTES * 250_000)
    del tensor
    assert memory.gigabytes() == pytest.approx(MEGABYTES / 1000, rel=0.1)
    memory.restart()
    assert memory.gigabytes() < MEGABYTES / 2000


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux resets the peak")
def test_memory_that_the_allocator_keeps_does_not_count_after_a_restart():
    """Some libraries have glibc keep large blocks for reuse."""
    threshold, largest, usual = -3, 1 << 30, 128 << 10  # M_MMAP_THRESHOLD of mallopt
    mallopt = ctypes.CDLL(None).mallopt
    mallopt(threshold, largest)
    try:
        test_the_peak_outlives_the_tensor_until_restarted()
    finally:
        mallopt(threshold, usual)
