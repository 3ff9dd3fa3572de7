"""Pictures are drawn in a process of their own, which comes and goes."""

from __future__ import annotations

import sys
import time

import numpy as np
import pytest

from roadmap.background import previews
from roadmap.background.previews import PreviewError
from roadmap.recipes import RECIPES
from roadmap.train.data import preview as training

PICTURES = list(np.random.default_rng(0).integers(0, 256, (2, 60, 80, 3), dtype=np.uint8))
RECIPE = RECIPES["convnext"]
#: A process that answers at once, with its own number.
QUICK = """
import os, pickle, sys
while True:
    pickle.load(sys.stdin.buffer)
    pickle.dump((0, 0, (str(os.getpid()),)), sys.stdout.buffer)
    sys.stdout.buffer.flush()
"""


@pytest.fixture
def artist():
    artist = previews._Artist()
    yield artist
    artist._end()
    if artist._idle:
        artist._idle.cancel()


@pytest.fixture
def quick(artist, monkeypatch):
    started = previews.subprocess.Popen
    monkeypatch.setattr(
        previews.subprocess,
        "Popen",
        lambda *_, **options: started([sys.executable, "-c", QUICK], **options),
    )
    return artist


def test_it_draws_what_training_does(artist):
    found = artist.ask((PICTURES, RECIPE, 3, True))
    wanted = training.preview(PICTURES, RECIPE, 3)
    np.testing.assert_array_equal(found.before, wanted.before)
    np.testing.assert_array_equal(found.after, wanted.after)
    assert found.notes == wanted.notes


def test_one_process_answers_until_it_ends(quick):
    first, again = quick.ask(1).notes, quick.ask(2).notes
    assert first == again
    process = quick._process
    process.kill()
    process.wait()
    assert quick.ask(3).notes != first


def test_one_that_ends_meanwhile_is_a_sentence(quick, monkeypatch):
    monkeypatch.setattr(previews, "LONGEST", 0.0)
    with pytest.raises(PreviewError, match="could not be augmented"):
        quick.ask(PICTURES)
    monkeypatch.undo()
    assert quick._process is None


def test_it_ends_when_nobody_asks(quick, monkeypatch):
    monkeypatch.setattr(previews, "IDLE", 0.1)
    quick.ask(1)
    process = quick._process
    assert process.wait(60) is not None
    for _ in range(3000):
        if quick._process is None:
            break
        time.sleep(0.02)
    assert quick._process is None


def test_none_is_started_without_memory(quick, monkeypatch):
    monkeypatch.setattr(previews, "free_memory", lambda: 3 * 10**8)
    with pytest.raises(PreviewError, match=r"0\.3 GB are free on this machine"):
        quick.ask(1)
    assert quick._process is None
