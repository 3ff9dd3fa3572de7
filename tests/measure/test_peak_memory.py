"""Peak memory on the CPU, where Linux tells it."""

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
