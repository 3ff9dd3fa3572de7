"""Classification of pictures with trained weights."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from PIL import Image
from torch import nn

from models.files import network_of
from roadmap.device import memory_explained, prepare_device
from roadmap.errors import RefusedError
from roadmap.recipes import Recipe
from roadmap.runs.record import data_conventions
from roadmap.text import counted
from roadmap.train.checks import placed_at
from roadmap.train.data import augment
from roadmap.train.data.images import DataError, decode, image_endings
from roadmap.train.data.on_demand import central_crop
from roadmap.train.data.sampling import View
from roadmap.train.fine_tune import StartWeights, read_start
from roadmap.train.settings import Start, scoring_view

#: Classes listed per picture.
TOP = 5
#: Pictures per forward pass.
BATCH_SIZE = 32
#: A synset of WordNet, as the folders of ImageNet and of sets made from it are named.
SYNSET = re.compile(r"n\d{8}")
#: Classes of ImageNet-1K, which published networks number in the same order.
IMAGENET = 1000


class Picture(NamedTuple):
    """The central crop of a picture, uint8 (S, S, 3), and its path as text."""

    path: str
    pixels: np.ndarray


def classify(
    paths: Sequence[Path],
    start: Start,
    *,
    image_size: int | None = None,
    device: str | None = None,
    say: Callable[[str], None] = lambda _sentence: None,
) -> tuple[list[dict[str, Any]], int]:
    """Classify the pictures in ``paths``, files and folders, with the weights of ``start``.

    Pictures are decoded, resized and cropped as validation images are, according to the recipe of
    the weights, or to 256 and 224 pixels. Returns one row per picture and class, for the ``TOP``
    most probable classes, and the number of paths that could not be read; ``description`` has the
    words for a class that is named after a synset of WordNet. A sentence about each path that could
    not be read, and notes, go to ``say``. Raises ``RefusedError`` for weights or an image size that
    cannot classify pictures, and another ``TrainingError`` if the memory is too small.
    """
    begin = read_start(start)
    recipe = _recipe(begin, image_size)
    place = prepare_device(device)
    network = network_of(begin.tensors, begin.config, place)
    names = _class_names(begin, say)
    classes = list(zip(names, _described(names), strict=True))
    faults: list[str] = []

    def skip(error: DataError) -> None:
        faults.append(str(error))
        say(str(error))

    rows: list[dict[str, Any]] = []
    turned = data_conventions(begin.facts.get("data")).exif_orientation
    pictures = _pictures(paths, recipe, turned, skip)
    while batch := list(islice(pictures, BATCH_SIZE)):
        with memory_explained(
            f"{counted(len(batch), 'picture')} of {recipe.test_size} pixels do not fit into "
            "memory: use a smaller --image-size, or --device cpu"
        ):
            rows += _rows(network, batch, classes, place)
    if not rows and not faults:
        raise RefusedError(f"no pictures in {', '.join(map(_shown, paths))}")
    return rows, len(faults)


def _recipe(begin: StartWeights, image_size: int | None) -> Recipe:
    """Return the recipe of the weights at ``image_size``, whose test transform is used."""
    recipe = scoring_view(begin.facts, image_size, begin.source)
    if begin.config.num_classes == 0:
        raise RefusedError(f"{begin.source} has no classifier: use weights with one")
    if begin.config.in_channels != 3:
        raise RefusedError(
            f"{begin.source} takes images of {counted(begin.config.in_channels, 'channel')}; use "
            "weights for RGB pictures"
        )
    placed_at(begin.config, recipe.test_size)
    return recipe


def _class_names(begin: StartWeights, say: Callable[[str], None]) -> list[str]:
    if begin.class_names is not None:
        return begin.class_names
    count = begin.config.num_classes
    if count == IMAGENET:
        from timm.data import ImageNetInfo

        say(f"{begin.source} has no class names: assuming those of ImageNet-1K")
        info = ImageNetInfo("imagenet-1k")
        return [info.index_to_description(index) for index in range(count)]
    say(f"{begin.source} has no class names: classes are numbered from 0")
    return [str(index) for index in range(count)]


def _described(names: Sequence[str]) -> list[str]:
    """Return WordNet's words for its synsets, and other names as they are."""
    if not any(map(SYNSET.fullmatch, names)):
        return list(names)
    from timm.data import ImageNetInfo

    wordnet = ImageNetInfo("imagenet-22k")
    known = set(wordnet.label_names())
    return [wordnet.label_name_to_description(name) if name in known else name for name in names]


def _pictures(
    paths: Sequence[Path], recipe: Recipe, upright: bool, skip: Callable[[DataError], None]
) -> Iterator[Picture]:
    """Yield the pictures that can be read; the errors of the others go to ``skip``."""
    view = View(
        train_size=recipe.test_size,
        test_size=recipe.test_size,
        test_resize=recipe.test_resize,
        interpolation=recipe.interpolation,
        area=(1.0, 1.0),
        flips=False,
    )
    central = central_crop(view)
    for given in paths:
        for path in _files(given):
            name = _shown(path)
            try:
                image = Image.fromarray(decode(_content(path, name), name, upright))
                yield Picture(name, np.asarray(central(image)))
            except DataError as error:
                skip(error)


def _files(path: Path) -> list[Path]:
    """Return ``path``, or the image files in this folder and its subfolders, sorted."""
    if not os.path.isdir(path):  # noqa: PTH112 - pathlib raises an error for a name that is too long
        return [path]
    inside = sorted(path.rglob("*"))
    return [
        file
        for file in inside
        if file.suffix.lower() in image_endings()
        and not any(part.startswith(".") for part in file.relative_to(path).parts)
        and file.is_file()
    ]


def _shown(path: Path) -> str:
    """Return the path, with escapes for bytes that are not Unicode."""
    return str(path).encode(errors="backslashreplace").decode()


def _content(path: Path, name: str) -> bytes:
    try:
        if not stat.S_ISREG(path.stat().st_mode):  # reading a pipe would wait forever
            raise DataError(f"{name} is not a regular file")
        return path.read_bytes()
    except FileNotFoundError:
        raise DataError(f"{name} does not exist") from None
    except OSError as error:
        raise DataError(f"{name} cannot be read: {error.strerror or error}") from None


def _rows(
    network: nn.Module,
    batch: Sequence[Picture],
    classes: Sequence[tuple[str, str]],
    place: torch.device,
) -> Iterator[dict[str, Any]]:
    pixels = torch.from_numpy(np.stack([picture.pixels for picture in batch]))
    images = augment.normalize(pixels.permute(0, 3, 1, 2).to(place))
    with torch.inference_mode():
        shares = network(images).float().softmax(1).cpu()
    best = shares.topk(min(TOP, len(classes)), dim=1)
    for picture, values, indices in zip(
        batch, best.values.tolist(), best.indices.tolist(), strict=True
    ):
        for rank, (value, index) in enumerate(zip(values, indices, strict=True), 1):
            name, description = classes[index]
            yield {
                "picture": picture.path,
                "rank": rank,
                "class": name,
                "description": description,
                "index": index,
                "probability": value,
            }
