"""Pictures from a process of their own: what training makes, and what happens when it ends."""

from __future__ import annotations

import subprocess
import sys
import threading

import numpy as np
import pytest

from roadmap import previews
from roadmap.previews import PreviewError, preview
from roadmap.recipes import RECIPES, Recipe
from roadmap.train.preview import preview as in_this_process

RNG = np.random.default_rng(0)
PICTURES = [RNG.integers(0, 256, (50 + i, 70, 3), dtype=np.uint8) for i in range(4)]


@pytest.fixture(autouse=True, scope="module")
def ended():
    yield
    previews._idle.cancel()
    if previews._process is not None:
        previews._process.kill()
        previews._process.wait()


def test_they_are_what_training_makes():
    for recipe in (RECIPES["convnext"], Recipe(train_size=32, mixup=0.8)):
        for crop in (True, False):
            made, expected = (
                call(PICTURES, recipe, 3, crop=crop) for call in (preview, in_this_process)
            )
            assert np.array_equal(made.before, expected.before)
            assert np.array_equal(made.after, expected.after)
            assert made.notes == expected.notes


def test_one_process_makes_those_of_all_sessions():
    preview(PICTURES, Recipe(train_size=32), 0)
    process, made = previews._process, []
    threads = [
        threading.Thread(
            target=lambda n=n: made.append(preview(PICTURES, Recipe(train_size=32), n))
        )
        for n in range(5)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(made) == 5
    assert previews._process is process
    assert process.poll() is None


def test_a_process_that_is_killed_is_a_sentence_and_the_next_one_works(monkeypatch):
    process = subprocess.Popen(
        [sys.executable, "-c", "import os, sys; sys.stdin.read(1); os.kill(os.getpid(), 9)"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    with monkeypatch.context() as patched:
        patched.setattr(previews, "_ready", lambda: process)
        with pytest.raises(PreviewError, match="ended early"):
            preview(PICTURES, Recipe(train_size=32), 0)
    process.wait()
    assert len(preview(PICTURES, Recipe(train_size=32), 0).notes) == 4


def test_one_that_takes_too_long_is_ended(monkeypatch):
    process = subprocess.Popen(
        [sys.executable, "-c", "import time; time.sleep(60)"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    monkeypatch.setattr(previews, "_ready", lambda: process)
    monkeypatch.setattr(previews, "LONGEST", 0.05)
    with pytest.raises(PreviewError):
        preview(PICTURES, Recipe(train_size=32), 0)
    assert process.wait() == -9


def test_one_that_nobody_uses_ends(monkeypatch):
    answering = """
import pickle, sys
while True:
    pickle.load(sys.stdin.buffer)
    pickle.dump((1, 2, ("unchanged",)), sys.stdout.buffer)
    sys.stdout.flush()
"""
    process = subprocess.Popen(
        [sys.executable, "-c", answering], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    monkeypatch.setattr(previews, "_ready", lambda: process)
    for _ in range(2):
        assert preview(PICTURES, Recipe(), 0).notes == ("unchanged",)
        assert process.poll() is None
    monkeypatch.setattr(previews, "IDLE", 0.05)
    preview(PICTURES, Recipe(), 0)
    previews._idle.join()
    assert process.poll() == -9


def test_it_ends_with_the_server_of_the_pages():
    command = [sys.executable, "-m", "roadmap.previews"]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    process.stdin.close()
    assert process.wait(timeout=60) == 0
    assert process.stdout.read() == b""
