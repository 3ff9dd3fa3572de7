"""One thread per worker, since the other workers compute too; no deadlines for Hypothesis, since
the time of an example says nothing on a shared machine."""

import fnmatch
import gc
import os
import sys
import time
from pathlib import Path

if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ.setdefault("OMP_NUM_THREADS", "1")

import pytest
from hypothesis import HealthCheck, settings

settings.register_profile("shared", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("shared")


@pytest.fixture(autouse=True)
def main_module():
    """Streamlit's test harness leaves a page as ``__main__``, which child processes would run."""
    before = sys.modules["__main__"]
    yield
    sys.modules["__main__"] = before


#: Files that take more than a few seconds each; ``make check`` leaves them out.
SLOW = (
    "background/*",
    "export/*",
    "find/test_search.py",
    "measure/test_complexity.py",
    "measure/test_throughput.py",
    "models/test_depthwise.py",
    "models/test_source.py",
    "models/test_tracing.py",
    "models/test_weights.py",
    "notebooks/*",
    "study/test_design.py",
    "sweep/*",
    "test_contributing.py",
    "test_deploy.py",
    "test_experiment*.py",
    "test_first_training.py",
    "test_quiet.py",
    "report/test_report_*.py",
    "test_site.py",
    "test_wheel.py",
    "timm_models/*",
    "train/test_ddp.py",
    "train/test_fine_tune.py",
    "train/test_loop*.py",
    "train/test_pictures.py",
    "train/test_survival.py",
    "train/test_trackers.py",
    "train/test_trainer.py",
    "train/test_workers.py",
    "views/test_*_page*.py",
    "views/test_builder_timing.py",
    "views/test_*_in_browser.py",
    "views/test_picture_imagenet.py",
    "views/test_public.py",
    "views/test_uploads.py",
)


def pytest_configure(config):
    """Imports leave little garbage and many objects; searching them takes a fifth of the time."""
    gc.disable()
    config.option.loadscopereorder = False  # xdist would begin with the files that have most tests


@pytest.hookimpl(tryfirst=True)  # before pytest looks at the marks
def pytest_collection_modifyitems(items):
    """Mark the slow files and what uses the browser; skip what needs CUDA where there is none.
    Files with slow tests come first."""
    folder = Path(__file__).parent
    files = [path.relative_to(folder).as_posix() for path in folder.rglob("test_*.py")]
    if stale := [pattern for pattern in SLOW if not fnmatch.filter(files, pattern)]:
        raise pytest.UsageError(f"SLOW in tests/conftest.py has no file for {', '.join(stale)}")
    for item in items:
        file = item.path.relative_to(folder).as_posix()
        if any(fnmatch.fnmatch(file, pattern) for pattern in SLOW):
            item.add_marker("slow")
        if item.path.stem.endswith("_in_browser") or "browser" in item.fixturenames:
            item.add_marker("browser")
        if item.get_closest_marker("cuda") and not _has_cuda():
            item.add_marker(pytest.mark.skip(reason="needs a CUDA device"))
    # The long files first, so that no worker is left with one of them at the end.
    long = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: item.path not in long)


def _has_cuda() -> bool:
    import torch

    return torch.cuda.is_available()


def pytest_collection_finish():
    """Collecting garbage, as each measurement does, need not go through all that is imported."""
    gc.collect()
    gc.freeze()
    gc.enable()
    gc.set_threshold(20_000)  # the young are few among what networks and graphs allocate
    gc.callbacks.append(_watch_collection)


#: When the last collection began, and whether a full one was slow since the last freeze.
_collection = {"began": 0.0, "slow": False}


def _watch_collection(phase, info):
    if phase == "start":
        _collection["began"] = time.perf_counter()
    elif info["generation"] == 2 and time.perf_counter() - _collection["began"] > 0.02:
        _collection["slow"] = True


@pytest.hookimpl(trylast=True)  # after the fixtures
def pytest_runtest_teardown():
    """Freeze what outlives a test, such as what it imported, once there is much of it."""
    if _collection["slow"]:
        gc.collect()
        gc.freeze()
        _collection["slow"] = False


def pytest_unconfigure():
    """What is frozen stays so: pytest collects garbage several times at its end."""
    gc.enable()  # if collecting failed


@pytest.fixture(scope="module")
def one_thread():
    """Small layers wait for one another longer than they compute, on a machine that is shared."""
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def few_digits(monkeypatch):
    """The digits are a tenth of their images: 148 to train on, 32 to score."""
    from roadmap.train.data import sources

    few = sources.digits_table()[:180]
    monkeypatch.setattr(sources, "digits_table", lambda: few)
