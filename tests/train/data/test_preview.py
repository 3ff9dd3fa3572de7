"""The preview shows what training sees."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
import torch

from roadmap.recipes import RECIPES, Recipe
from roadmap.train.data import in_memory
from roadmap.train.data.batches import Data
from roadmap.train.data.preview import denormalized, preview
from roadmap.train.data.sampling import CROP_AREA, View
from roadmap.train.data.split import Source
from roadmap.train.distributed import World

RNG = np.random.default_rng(0)
PICTURES = [RNG.integers(0, 256, (50 + i, 70, 3), dtype=np.uint8) for i in range(8)]


class Pictures:
    labels = np.arange(len(PICTURES))

    def name(self, index):
        return str(index)

    def data(self, index):
        return PICTURES[index].tobytes()

    def detail(self, index):
        return str(index)

    def pixels(self, index):
        return PICTURES[index]


@pytest.mark.parametrize("name", RECIPES)
def test_it_is_the_first_batch_of_training(name):
    """Training shuffles; the preview is given the pictures in the order that came out."""
    recipe = RECIPES[name].replace(train_size=32, repeated_augmentation=0, batch_size=len(PICTURES))
    size = recipe.train_size
    view = View(size, size, size, recipe.interpolation, CROP_AREA["full"], True)
    split = Pictures()
    reader = in_memory.load(split, view, torch.device("cpu"))
    names = tuple(str(label) for label in split.labels)
    source, device = Source("x", names, split, split), torch.device("cpu")
    data = Data(source, recipe, device, 5, reader, reader, World())
    images, _ = next(iter(data.train_batches(0)))
    (plan,) = data._plans(0, range(1))
    shown = preview([PICTURES[i] for i in plan.images], recipe, 5)
    assert np.array_equal(shown.after, denormalized(images).permute(0, 2, 3, 1).numpy())


def test_without_augmentation_and_crop_nothing_changes():
    shown = preview(PICTURES, Recipe(train_size=32), 0, crop=False)
    assert np.array_equal(shown.before, shown.after)
    assert set(shown.notes) == {"unchanged"}


def test_notes_say_what_was_drawn():
    trivial = preview(PICTURES, Recipe(train_size=32, auto_augment="trivial"), 1, crop=False)
    for note, before, after in zip(trivial.notes, trivial.before, trivial.after, strict=True):
        assert note == "unchanged" or not np.array_equal(before, after)
    cut = preview(PICTURES, Recipe(train_size=32, cutmix=1.0), 1, crop=False)
    share = int(cut.notes[0].split(", ")[1].split("%")[0]) / 100
    own = (cut.before[0] == cut.after[0]).all(axis=2).mean()
    assert own == pytest.approx(share, abs=0.02)
    erased = preview(PICTURES, Recipe(train_size=32, random_erasing=1.0), 1, crop=False)
    assert all(note.startswith("erased") for note in erased.notes)


def test_it_imports_neither_torchvision_nor_timm():
    """Networks and a compiler that it has no use for took 100 MB, and seconds to load."""
    code = (
        "import sys; import roadmap.train.data.preview;"
        "print({'torchvision', 'timm'} & {*sys.modules})"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "set()"
