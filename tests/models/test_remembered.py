"""Caches that a visitor's URLs fill are bounded by the size of what they keep."""

from __future__ import annotations

import gc

import pytest

from models import VARIANTS
from models.remembered import remembered
from models.spec import MOST_BLOCKS_KEPT, BlockSpec, network_spec
from roadmap.measure.complexity import MOST_MODULES_KEPT, ModuleCost, count


@pytest.fixture
def calls():
    return []


@pytest.fixture
def text(calls):
    @remembered(10, len)
    def text(character: str, times: int = 1) -> str:
        calls.append(character)
        return character * times

    return text


def test_what_was_used_last_is_kept_up_to_the_size(text, calls):
    text("a", 4), text("b", 4), text("a", 4)
    assert calls == ["a", "b"]
    assert text("c", times=4) == "cccc"  # b was used longest ago
    text("a", 4), text("c", times=4)
    assert calls == ["a", "b", "c"]
    text("b", 4)
    assert calls == ["a", "b", "c", "b"]


def test_what_is_too_large_by_itself_takes_no_place(text, calls):
    text("a", 4), text("x", 11), text("a", 4), text("x", 11)
    assert calls == ["a", "x", "x"]


def test_what_a_call_raises_is_not_kept():
    @remembered(10, len)
    def fails() -> str:
        raise ValueError("no")

    for _ in range(2):
        with pytest.raises(ValueError, match="no"):
            fails()


def test_many_large_networks_take_no_more_memory_than_a_few():
    """512 entries of 1,000 blocks each were 1.5 GB."""
    # ``isinstance`` would follow other tests' weak proxies, whose objects may be gone.
    before = [each for each in gc.get_objects() if type(each) in (ModuleCost, BlockSpec)]
    for width in range(8, 38):
        count(VARIANTS["convnext_tiny"].replace(depths=(1, 1, 997, 1), width=width))
    gc.collect()
    known = {id(each) for each in before}  # other tests of this process hold some
    kinds = [type(each) for each in gc.get_objects() if id(each) not in known]
    assert 0 < kinds.count(ModuleCost) <= MOST_MODULES_KEPT
    assert 0 < kinds.count(BlockSpec) <= MOST_BLOCKS_KEPT


def test_equal_blocks_share_their_layers():
    stage = network_spec(VARIANTS["convnext_tiny"].replace(stochastic_depth=0.5)).stages[2]
    assert len({block.drop_path for block in stage.blocks}) == len(stage.blocks)
    assert len({id(block.branch) for block in stage.blocks[1:]}) == 1
