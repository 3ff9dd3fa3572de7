"""A batch is a pure function of seed, epoch, step and global batch size."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from roadmap.recipes import RECIPES
from roadmap.train.data import sampling
from roadmap.train.data.batches import DataError, open_data
from roadmap.train.data.sources import open_source
from roadmap.train.distributed import World
from roadmap.train.pocket import pocket_recipe

FULL = pocket_recipe(RECIPES["convnext"])
#: With batches that 1 and 3 processes can share.
DIVISIBLE = FULL.replace(batch_size=96)


def digits(recipe=FULL, seed=0, world=None):
    source = open_source(None)
    return open_data(source, recipe, device="cpu", seed=seed, scale="pocket", world=world)


def shares(processes, recipe=FULL):
    """The data of each process."""
    return [digits(recipe, world=World(rank, processes)) for rank in range(processes)]


def same(left, right) -> bool:
    return torch.equal(left[0], right[0]) and torch.equal(left[1], right[1])


@pytest.fixture(scope="module")
def data():
    return digits()


def test_batches_have_the_promised_form(data):
    batches = list(data.train_batches(0))
    assert len(batches) == data.steps_per_epoch == 1442 // 64
    for images, targets in batches:
        assert images.shape == (64, 3, 32, 32)
        assert images.is_contiguous(memory_format=torch.channels_last)
        assert images.isfinite().all()
        assert targets.shape == (64, 10)
        torch.testing.assert_close(targets.sum(1), torch.ones(64))


@pytest.mark.parametrize("name", list(RECIPES))
def test_any_step_can_be_the_first(name):
    recipe = pocket_recipe(RECIPES[name]).replace(batch_size=128)
    whole = list(digits(recipe).train_batches(3))
    for start in (1, 7):
        late = list(digits(recipe).train_batches(3, start=start))
        assert len(late) == len(whole) - start
        assert all(map(same, late, whole[start:]))


@pytest.mark.parametrize("processes", [2, 4])
@pytest.mark.parametrize("name", list(RECIPES))
def test_processes_together_see_the_batches_of_one(name, processes):
    recipe = pocket_recipe(RECIPES[name])
    whole = digits(recipe).train_batches(1)
    parts = [data.train_batches(1) for data in shares(processes, recipe)]
    for images, targets in whole:
        pieces = [next(part) for part in parts]
        assert torch.equal(torch.cat([piece[0] for piece in pieces]), images)
        assert torch.equal(torch.cat([piece[1] for piece in pieces]), targets)


def test_other_seeds_epochs_and_steps_give_other_batches(data):
    first, second = (batch for batch, _ in zip(data.train_batches(0), range(2), strict=False))
    assert not same(first, second)
    assert not same(first, next(data.train_batches(1)))
    assert not same(first, next(digits(seed=1).train_batches(0)))


def test_batches_leave_the_default_generators_alone(data):
    before = torch.get_rng_state(), np.random.get_state()[1].copy()
    next(data.train_batches(0))
    next(data.val_batches(64))
    assert torch.equal(before[0], torch.get_rng_state())
    assert (before[1] == np.random.get_state()[1]).all()


def test_the_callers_modes_hold_between_batches(data):
    """The loop backpropagates while the generator waits."""
    for _ in data.train_batches(0, start=20):
        assert torch.is_grad_enabled()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        for images, _ in data.train_batches(0, start=20):
            assert torch.is_autocast_enabled("cpu")
            assert images.dtype == torch.float32


def test_an_epoch_shows_every_image_once():
    order = sampling.epoch_order(0, 0, 100, 10, 0)
    assert sorted(order) == list(range(100))
    assert (order != sampling.epoch_order(0, 1, 100, 10, 0)).any()
    assert len(set(sampling.epoch_order(0, 0, 109, 10, 0))) == 100


@pytest.mark.parametrize("copies", [3, 4])
def test_repeated_augmentation(copies):
    order = sampling.epoch_order(0, 0, 240, 24, copies)
    assert len(order) == 240
    images, counts = np.unique(order, return_counts=True)
    assert len(images) == 240 // copies
    assert set(counts) == {copies}
    for batch in order.reshape(10, 24):
        assert (batch[0::2] != batch[1::2]).all(), "an image would be mixed with itself"
        halves = [set(half.tolist()) for half in batch.reshape(2, 12)]
        assert halves[0] & halves[1], "every process gets copies"


def test_a_set_smaller_than_a_batch_fills_one():
    order = sampling.epoch_order(0, 0, 10, 32, 0)
    assert len(order) == 32
    assert set(np.bincount(order)) == {3, 4}


@pytest.mark.parametrize("processes", [1, 3])
@pytest.mark.parametrize("batch_size", [1, 50, 355, 1000])
def test_validation_shows_every_image_once(data, processes, batch_size):
    labels = [
        batch[1]
        for share in shares(processes, DIVISIBLE)
        for batch in share.val_batches(batch_size)
    ]
    assert sum(map(len, labels)) == data.info.num_val == 355
    counts = torch.bincount(torch.cat(labels))
    assert counts.tolist() == np.bincount(data._source.val.labels).tolist()


def test_validation_is_the_same_whoever_looks(data):
    whole = torch.cat([images for images, _ in data.val_batches(100)])
    parts = [list(share.val_batches(100)) for share in shares(2)]
    together = [torch.cat([a[0], b[0]]) for a, b in zip(*parts, strict=True)]
    assert torch.equal(torch.cat(together), whole)


def test_a_batch_that_cannot_be_shared_is_refused():
    with pytest.raises(DataError, match="multiple of 2"):
        digits(FULL.replace(batch_size=63))
    with pytest.raises(DataError, match="multiple of 6"):
        digits(world=World(0, 3))
    plain = pocket_recipe(RECIPES["resnet_standard"])
    assert len(next(digits(plain.replace(batch_size=63)).train_batches(0))[0]) == 63
    with pytest.raises(DataError, match="0"):
        digits(plain.replace(batch_size=0))


def test_train_and_test_sizes_may_differ():
    recipe = FULL.replace(train_size=24, test_size=32, test_resize=40)
    data = digits(recipe)
    assert next(data.train_batches(0))[0].shape[-1] == 24
    assert next(data.val_batches(8))[0].shape[-1] == 32


def test_a_test_crop_larger_than_the_image_is_refused():
    with pytest.raises(DataError, match="test_resize is 30"):
        digits(FULL.replace(test_resize=30))


def test_digits_are_known(data):
    assert data.info.name == "digits"
    assert data.info.num_classes == 10
    assert (data.info.num_train, data.info.num_val) == (1442, 355)
    assert data.info.sha256 == digits(seed=5).info.sha256
    train, val = (
        np.bincount(labels) for labels in (data._source.train.labels, data._source.val.labels)
    )
    assert (np.abs(val / (train + val) - 0.2) < 0.01).all(), "every class is held out alike"


def test_digits_are_not_mirrored(data):
    assert not data._train.view.flips
