"""The small trained networks and the pictures that are shipped with the explorer."""

from __future__ import annotations

import re

import numpy as np
import pytest
import torch
from PIL import Image

import models
from models.files import read_weights
from roadmap.steps import ROADMAPS
from roadmap.tables.results import RESULTS, read_rows
from roadmap.views.picture import networks

FILES = sorted((RESULTS / "pocket").glob("*.safetensors"))
ROADMAP = ROADMAPS["resnet50"]
PICTURES = read_rows("pictures/pictures")
CLASSES = {row["wordnet_id"] for row in read_rows("pocket/classes")}
ADOPTED = [s.key for s in ROADMAP.steps if s.adopted and s.group != "Beyond the paper"]


def test_every_adopted_step_has_a_network():
    assert {path.name for path in FILES} == {f"resnet50-{key}.safetensors" for key in ADOPTED}


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_file_is_small_and_says_what_it_holds(path):
    assert path.stat().st_size <= 1.5e6
    tensors, config, metadata = read_weights(path)
    floats = [tensor for tensor in tensors.values() if tensor.is_floating_point()]
    assert {tensor.dtype for tensor in floats} == {torch.float16}
    assert all(tensor.isfinite().all() for tensor in floats)
    assert path.stem == f"{metadata['roadmap']}-{metadata['step']}"
    full = ROADMAP.config(metadata["step"])
    same = ("stem", "block", "norm", "kernel_size", "activation", "downsampling", "depthwise")
    assert all(getattr(config, name) == getattr(full, name) for name in same)
    rows = read_rows("pocket/classes")
    assert [row["wordnet_id"] for row in rows] == metadata["class_names"]
    card = (RESULTS / "pocket" / "README.md").read_text(encoding="utf-8")
    scores = metadata["scores"]
    line = next(line for line in card.splitlines() if path.name in line)
    assert re.search(rf"\| {scores['top1']:.2f} \| {scores['top5']:.2f} \|$", line)


def test_a_network_is_rebuilt_from_the_file_alone():
    network = models.load(FILES[0])
    with torch.inference_mode():
        logits = network(torch.zeros(1, 3, 64, 64))
    assert logits.shape == (1, 100)
    assert logits.dtype == torch.float32


def test_every_picture_is_small_and_has_a_credit():
    pictures = sorted((RESULTS / "pictures").glob("*.jpg"))
    credit = (RESULTS / "pictures" / "README.md").read_text(encoding="utf-8")
    assert len(pictures) == 6
    for path in pictures:
        assert Image.open(path).size == (256, 256)
        assert f"| `{path.name}` |" in credit


def test_most_networks_classify_most_pictures_correctly():
    """As results/pictures/README.md counts, except that one close answer may tip elsewhere."""
    rows = [row for row in PICTURES if row["wordnet_id"] in CLASSES]
    card = (RESULTS / "pictures" / "README.md").read_text(encoding="utf-8")
    most = 0
    for row in rows:
        with Image.open(RESULTS / "pictures" / f"{row['picture']}.jpg") as image:
            pixels = np.asarray(image.convert("RGB"))
        answers = [_best_five(key, pixels) for key in ADOPTED]
        best = sum(five[0] == row["class"] for five in answers)
        among = sum(row["class"] in five for five in answers)
        counted = re.search(rf"\| `{row['picture']}` \| {row['class']} \| (\d+) \| (\d+) \|", card)
        assert [int(each) for each in counted.groups()] == pytest.approx([best, among], abs=1)
        most += best > len(ADOPTED) / 2
    assert most >= 4
    assert "| `coffee` | cup | not known |" in card
    assert len(rows) == len(PICTURES) - 1


def _best_five(key: str, pixels: np.ndarray) -> list[str]:
    trained = networks.pocket(key)
    probabilities = networks.forward(trained, pixels).probabilities
    order = sorted(range(len(probabilities)), key=lambda index: -probabilities[index])
    return [trained.classes[index] for index in order[:5]]
