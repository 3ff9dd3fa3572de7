"""Fine-tuning happens at the image sizes that the weights were trained at."""

import json

import pytest
import torch
from safetensors.torch import save_file
from typer.testing import CliRunner

from roadmap.cli import app
from roadmap.recipes import FINE_TUNE
from roadmap.train import run as run_module
from roadmap.train.recorded_sizes import SIZE_FIELDS, recorded_sizes

SIZES = {"train_size": 32, "test_size": 36, "test_resize": 40}
OF_RECIPE = {name: getattr(FINE_TUNE, name) for name in SIZE_FIELDS}


def weights(folder, recipe):
    folder.mkdir(exist_ok=True)
    path = folder / "weights.safetensors"
    metadata = None if recipe is None else {"recipe": json.dumps(recipe)}
    save_file({"a": torch.zeros(1)}, path, metadata=metadata)
    return path


@pytest.fixture
def asked(monkeypatch):
    """The sizes of the run that options ask for, and the notes before it, without training."""
    found = []
    monkeypatch.setattr(run_module, "train", lambda *arguments: found.append(arguments))

    def asked(*options):
        done = CliRunner().invoke(app, ["train", *map(str, options)])
        assert done.exit_code == 0, done.output
        settings, notes = found.pop()
        return {name: getattr(settings.recipe, name) for name in SIZE_FIELDS}, notes

    return asked


def test_the_sizes_of_ones_own_run_are_kept_and_said(asked, tmp_path):
    path = weights(tmp_path / "run", {"lr": 1, **SIZES})
    for start in (path, path.parent):
        sizes, notes = asked("--weights", start)
        assert sizes == SIZES
        assert notes == [
            "training at 32 pixels and testing at 36, as the weights were trained: --image-size "
            "changes that"
        ]


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (["--image-size", 224], OF_RECIPE),
        (["--train-size", 64], OF_RECIPE | {"train_size": 64}),
        (["--test-size", 64], OF_RECIPE | {"test_size": 64}),
        (["--scale", "pocket"], dict.fromkeys(SIZE_FIELDS, 32)),
    ],
)
def test_sizes_that_are_asked_for_count(options, expected, asked, tmp_path):
    path = weights(tmp_path / "run", SIZES)
    sizes, notes = asked("--weights", path, *options)
    assert sizes == expected
    assert not any("as the weights were trained" in note for note in notes)


@pytest.mark.parametrize("start", ["timm:convnext_tiny", "published.pth", "a\0b"])
def test_published_weights_keep_the_sizes_of_their_recipe(start, asked):
    assert asked("--weights", start) == (OF_RECIPE, [])


@pytest.mark.parametrize(
    "recipe",
    [
        None,
        [],
        {},
        {"test_size": 32},
        SIZES | {"train_size": True},
        SIZES | {"test_size": 10**6},
        SIZES | {"test_resize": 35},
        SIZES | {"train_size": 0},
    ],
)
def test_files_without_proper_sizes_record_none(recipe, tmp_path):
    assert recorded_sizes(str(weights(tmp_path / "run", recipe))) == {}
    assert recorded_sizes(str(tmp_path)) == {}
