"""The thread that makes batches ahead: their order, its errors, its end."""

from __future__ import annotations

import threading

import pytest
import torch

from roadmap.train.data.batches import DataError
from roadmap.train.data.prefetch import AHEAD, prefetched, threaded

CPU = torch.device("cpu")


def numbered(count: int, made: list[int]):
    for number in range(count):
        made.append(number)
        yield torch.tensor([number]), torch.tensor([-number])


def test_batches_come_in_order_from_another_thread():
    threads = set()

    def batches():
        for batch in numbered(20, []):
            threads.add(threading.current_thread())
            yield batch

    found = [int(images) for images, _ in threaded(batches(), CPU)]
    assert found == list(range(20))
    assert threading.current_thread() not in threads


def test_an_error_comes_in_its_place():
    def batches():
        yield from numbered(3, [])
        raise DataError("lost")

    found = []
    with pytest.raises(DataError, match="lost"):
        for images, _ in threaded(batches(), CPU):
            found.append(int(images))
    assert found == [0, 1, 2]


def test_the_thread_stays_a_few_ahead_and_ends_with_the_iterator():
    before = threading.active_count()
    made: list[int] = []
    ahead = threaded(numbered(1000, made), CPU)
    next(ahead)
    ahead.close()
    assert threading.active_count() == before
    assert len(made) <= 2 * (AHEAD + 2)


def test_a_cpu_makes_its_batches_when_they_are_asked_for():
    made: list[int] = []
    batches = prefetched(numbered(5, made), CPU)
    next(batches)
    assert made == [0]


@pytest.mark.cuda
def test_cuda_makes_the_same_batches():
    from roadmap.recipes import RECIPES
    from roadmap.train.data.batches import open_data
    from roadmap.train.data.sources import open_source
    from roadmap.train.pocket import pocket_recipe

    for recipe in map(pocket_recipe, RECIPES.values()):
        host, device = (
            open_data(open_source(None), recipe, device=name, seed=0).train_batches(0)
            for name in ("cpu", "cuda")
        )
        for (images, targets), (found, found_targets) in zip(host, device, strict=True):
            # A value on the verge of rounding may fall to either side.
            assert ((found.cpu() - images).abs() > 0.03).float().mean() < 0.002
            torch.testing.assert_close(found_targets.cpu(), targets)
