"""Sets too large for memory, read by workers."""

from __future__ import annotations

import gc
import multiprocessing
import os
import pickle
import signal
import tempfile

import numpy as np
import pytest
import torch
from data_sets import make_folder, make_parquet, picture

from roadmap.recipes import RECIPES
from roadmap.train.data import damage, in_memory, on_demand
from roadmap.train.data.batches import DataError, open_data
from roadmap.train.data.sources import open_source
from roadmap.train.distributed import World
from roadmap.train.pocket import pocket_recipe

RECIPE = pocket_recipe(RECIPES["convnext"]).replace(batch_size=8)


@pytest.fixture(autouse=True)
def nothing_fits(monkeypatch):
    monkeypatch.setattr(in_memory.load, "__defaults__", (0,))
    monkeypatch.setattr(on_demand, "CHUNK", 3)


@pytest.fixture
def pets(tmp_path):
    return make_folder(tmp_path / "pets", train=10, val=5)


def opened(path, workers=0, recipe=RECIPE, seed=0, world=None):
    source = open_source(path)
    return open_data(source, recipe, device="cpu", seed=seed, workers=workers, world=world)


def opened_by(path, workers, batch_size):
    return opened(path, workers, RECIPE.replace(batch_size=batch_size))


def equal(left, right) -> bool:
    return all(
        torch.equal(a, b)
        for one, two in zip(left, right, strict=True)
        for a, b in zip(one, two, strict=True)
    )


def test_workers_change_nothing(pets):
    alone = opened(pets)
    assert isinstance(alone._train, on_demand.OnDemand)
    batches = list(alone.train_batches(0))
    assert len(batches) == 2
    assert batches[0][0].shape == (8, 3, 32, 32)
    assert equal(batches, opened(pets, workers=2).train_batches(0))
    assert not equal(batches[:1], [next(opened(pets, seed=1).train_batches(0))])
    assert not equal(batches[:1], [next(alone.train_batches(1))])


def test_workers_map_the_images_of_parquet(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    make_parquet(tmp_path / "data", [0, 1] * 8)
    alone, shared = (opened(tmp_path / "data", workers) for workers in (0, 2))
    assert equal(alone.train_batches(0), shared.train_batches(0))
    assert len(pickle.dumps(shared._train.split)) < 2000
    assert len(list(tmp_path.glob("*.arrow"))) == 1
    del shared
    gc.collect()
    assert not list(tmp_path.glob("*.arrow"))


def test_any_step_first_and_any_number_of_processes(pets):
    data = opened(pets)
    batches = list(data.train_batches(0))
    assert equal(batches[1:], data.train_batches(0, start=1))
    shares = [opened(pets, world=World(rank, 2)) for rank in range(2)]
    halves = zip(*(share.train_batches(0) for share in shares), strict=True)
    joined = [[torch.cat(parts) for parts in zip(*half, strict=True)] for half in halves]
    assert equal(batches, joined)


def test_validation_equals_that_of_a_small_set(pets, monkeypatch):
    recipe = RECIPE.replace(test_size=20, test_resize=24)
    large = list(opened(pets, recipe=recipe).val_batches(4))
    monkeypatch.setattr(in_memory.load, "__defaults__", (2**30,))
    small = list(opened(pets, recipe=recipe).val_batches(4))
    for (images, labels), (wanted, wanted_labels) in zip(large, small, strict=True):
        assert torch.equal(labels, wanted_labels)
        # Noise overshoots a bicubic filter, which Pillow cuts off between its two passes.
        assert (images - wanted).abs().mean() < 0.05


def test_a_set_that_is_not_of_files_is_read_too():
    data = opened(None)
    assert isinstance(data._train, on_demand.OnDemand)
    assert next(data.train_batches(0))[0].shape == (8, 3, 32, 32)


def test_broken_headers_are_found_before_training(pets):
    bad = pets / "train" / "dog" / "4.png"
    bad.write_bytes(b"x" * 100)
    with pytest.raises(DataError, match=str(bad)):
        opened(pets)


@pytest.mark.parametrize("workers", [0, 2])
def test_a_file_lost_on_the_way_is_named(pets, workers):
    data = opened_by(pets, workers, batch_size=20)
    lost = pets / "train" / "cat" / "7.png"
    lost.unlink()
    others = multiprocessing.active_children()
    with pytest.raises(DataError) as caught:
        list(data.train_batches(0))
    assert str(caught.value) == f"{lost} cannot be read: No such file or directory"
    assert multiprocessing.active_children() == others


@pytest.mark.parametrize(
    ("number", "said"),
    [
        (signal.SIGKILL, "SIGKILL, probably out of memory: use fewer --workers"),
        (signal.SIGBUS, "SIGBUS, probably because shared memory is full: enlarge /dev/shm"),
        (signal.SIGSEGV, r"\(SIGSEGV\)"),
    ],
)
def test_a_dead_worker_is_reported(pets, number, said):
    others = multiprocessing.active_children()
    batches = opened_by(pets, 1, batch_size=4).train_batches(0)
    next(batches)
    (worker,) = set(multiprocessing.active_children()) - set(others)
    os.kill(worker.pid, number)
    with pytest.raises(DataError, match=f"a data worker died .*{said}"):
        list(batches)


def test_a_fault_in_a_worker_is_not_taken_for_its_death(pets, monkeypatch):
    data = opened_by(pets, 1, batch_size=4)
    monkeypatch.setattr(type(data._train), "_started", failing_in_a_worker)
    with pytest.raises(RuntimeError, match="a fault of ours"):
        list(data.train_batches(0))


def failing_in_a_worker(_self, _chunks):
    yield from ()
    raise RuntimeError("Caught RuntimeError in DataLoader worker process 0: a fault of ours")


def test_workers_that_cannot_be_started_are_a_sentence(pets, monkeypatch):
    def refused(_process):
        raise BlockingIOError(11, "Resource temporarily unavailable")

    process = multiprocessing.context.ForkServerProcess
    monkeypatch.setattr(process, "_Popen", staticmethod(refused))
    with pytest.raises(DataError, match="the 2 data workers cannot be started"):
        next(opened_by(pets, 2, batch_size=4).train_batches(0))


def test_headers_of_a_very_large_set_are_sampled(pets, monkeypatch):
    split = opened(pets)._train.split
    read = []
    monkeypatch.setattr(damage, "CHECKED", 5)
    monkeypatch.setattr(damage, "check_file", lambda _split, index: read.append(index))
    damage.check_headers(split)
    assert len(set(read)) == 5


def test_large_images_are_cropped_from_their_own_pixels(tmp_path):
    make_folder(tmp_path, classes=("one", "two"), train=1, val=1)
    picture(0, (400, 300)).save(tmp_path / "train" / "one" / "0.png")
    data = opened_by(tmp_path, 0, batch_size=2)
    sizes = [np.asarray(data._train.split.pixels(index)).shape for index in range(2)]
    assert (400, 300, 3) in sizes
    assert next(data.train_batches(0))[0].shape == (2, 3, 32, 32)
