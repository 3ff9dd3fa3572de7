"""Small data sets in every form that is read, and how they are opened."""

from __future__ import annotations

import io
import json
import tarfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from cases import encoded, image_structs
from PIL import Image

from roadmap.recipes import RECIPES
from roadmap.train.data.batches import DataError, open_data
from roadmap.train.data.sources import open_source
from roadmap.train.pocket import pocket_recipe

RECIPE = pocket_recipe(RECIPES["resnet_standard"])


def picture(seed: int = 0, size: tuple[int, int] = (12, 10)) -> Image.Image:
    pixels = np.random.default_rng(seed).integers(0, 256, (*size, 3), dtype=np.uint8)
    return Image.fromarray(pixels)


def make_folder(root: Path, classes=("cat", "dog"), train: int = 3, val: int = 2) -> Path:
    for part, count in (("train", train), ("val", val)):
        for place, name in enumerate(classes):
            folder = root / part / name
            folder.mkdir(parents=True)
            for number in range(count):
                picture(10 * place + number).save(folder / f"{number}.png")
    return root


def make_parquet(root: Path, labels, val_labels=None, names=None, part: str = "val") -> Path:
    root.mkdir(exist_ok=True)
    for stem, numbers in (("train", labels), (part, labels if val_labels is None else val_labels)):
        struct = image_structs([encoded(picture(i)) for i in range(len(numbers))])
        table = pa.table({"image": struct, "label": pa.array(numbers, pa.int64())})
        if names:
            label = {"names": list(names), "_type": "ClassLabel"}
            features = {"image": {"_type": "Image"}, "label": label}
            text = json.dumps({"info": {"features": features}})
            table = table.replace_schema_metadata({"huggingface": text})
        pq.write_table(table, root / f"{stem}-00000-of-00001.parquet")
    return root


def opened(path):
    return open_data(open_source(path), RECIPE, device="cpu", seed=0, workers=0)


def refusal(path) -> str:
    with pytest.raises(DataError) as caught:
        opened(path)
    message = str(caught.value)
    assert "\n" not in message
    return message


def samples(numbers) -> list[tuple[str, bytes]]:
    return [
        sample
        for number in numbers
        for sample in (
            (f"pets/{number:04}.png", encoded(picture(number))),
            (f"pets/{number:04}.cls", str(number % 2).encode()),
        )
    ]


def write_shard(file: Path, samples: list[tuple[str, bytes]]) -> None:
    with tarfile.open(file, "w") as tar:
        for name, content in samples:
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))


def colors(split) -> list[int]:
    """The brightest color channel of every picture, which is its label if all is right."""
    return [
        int(split.pixels(index).sum(axis=(0, 1), dtype=np.int64).argmax())
        for index in range(len(split.labels))
    ]


def assert_right(source, train: int = 24, val: int = 10) -> None:
    for split, count in ((source.train, train), (source.val, val)):
        assert len(split.labels) == count
        assert colors(split) == split.labels.tolist()
