"""One thread a worker, as its neighbors compute too; Hypothesis without deadlines, as how long an
example takes says nothing on a shared machine."""

import gc
import os

if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ.setdefault("OMP_NUM_THREADS", "1")

import pytest
from hypothesis import HealthCheck, settings

settings.register_profile("shared", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("shared")


def pytest_collection_finish():
    """Collecting garbage, as each measurement does, need not go through all that is imported."""
    gc.collect()
    gc.freeze()


def pytest_unconfigure():
    gc.unfreeze()


@pytest.fixture(scope="module")
def one_thread():
    """Small layers wait for one another longer than they compute, on a machine that is shared."""
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)
