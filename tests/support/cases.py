"""Small data sets of the kinds that were once read wrongly, each written by a function of its own.

Color channel c outweighs the others in every picture of ``picture(c, ...)``. A pocket network
learns to tell such classes apart in a few epochs, so a wrong order of the classes scores 0%.
Each function takes the folder to write, and returns it.
"""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

CAT_DOG = {"cat": 0, "dog": 1}
#: Pictures of each class in each split.
COUNTS = {"train": 12, "val": 5}


def picture(channel: int, number: int = 0, size: tuple[int, int] = (40, 48)) -> Image.Image:
    """Noise of ``size`` (height, width) in which color ``channel`` (modulo 3) is the brightest."""
    pixels = np.random.default_rng([channel, number]).integers(0, 80, (*size, 3), dtype=np.uint8)
    pixels[..., channel % 3] += 120
    return Image.fromarray(pixels)


def encoded(image: Image.Image, form: str = "PNG", **options: object) -> bytes:
    stream = io.BytesIO()
    image.save(stream, form, **options)
    return stream.getvalue()


def class_folders(
    root: Path,
    channels: Mapping[str, int] = CAT_DOG,
    counts: Mapping[str, int] = COUNTS,
    ending: str = "png",
) -> Path:
    """``SPLIT/CLASS/NUMBER.ending``, with the color channel of each class."""
    for split, count in counts.items():
        for name, channel in channels.items():
            folder = root / split / name
            folder.mkdir(parents=True, exist_ok=True)
            for number in range(count):
                picture(channel, number).save(folder / f"{number}.{ending}")
    return root


def image_structs(images: Sequence[bytes]) -> pa.Array:
    """Images as the ``datasets`` library stores them."""
    kind = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    return pa.array([{"bytes": data, "path": None} for data in images], kind)


def class_table(
    labels: Mapping[str, tuple[Sequence[str] | None, Sequence[int]]],
    count: int = 12,
    images: Callable[[list[bytes]], pa.Array] = image_structs,
) -> pa.Table:
    """``count`` pictures of channel 0, then of channel 1, in a column ``image``.

    ``labels``: for each label column its class names (None: not stored) and the labels of
    channels 0 and 1.
    """
    data = [encoded(picture(channel, number)) for channel in (0, 1) for number in range(count)]
    columns = {"image": images(data)}
    features: dict[str, object] = {"image": {"_type": "Image"}}
    for column, (names, values) in labels.items():
        columns[column] = pa.array(np.repeat(values, count), pa.int64())
        if names is not None:
            features[column] = {"_type": "ClassLabel", "names": list(names)}
    text = json.dumps({"info": {"features": features}})
    return pa.table(columns).replace_schema_metadata({"huggingface": text})


def write_tables(root: Path, **tables: pa.Table) -> Path:
    """``STEM.parquet`` for each of ``tables``."""
    root.mkdir(parents=True, exist_ok=True)
    for stem, table in tables.items():
        pq.write_table(table, root / f"{stem}.parquet")
    return root


def cat_dog_tables(root: Path, images: Callable[[list[bytes]], pa.Array] = image_structs) -> Path:
    labels = {"label": (("cat", "dog"), (0, 1))}
    return write_tables(
        root, train=class_table(labels, 12, images), validation=class_table(labels, 5, images)
    )


# -- the cases ----------------------------------------------------------------------------------


def three_splits(root: Path) -> Path:
    """Roboflow's and YOLO's layout: ``valid`` is to be scored on, not the smaller ``test``."""
    return class_folders(root, counts={"train": 3, "valid": 3, "test": 1})


def cats_and_dogs(root: Path) -> Path:
    return class_folders(root)


def dogs_and_kittens(root: Path) -> Path:
    """The pictures of ``cats_and_dogs``; the cats have another name, which changes the order."""
    return class_folders(root, {"dog": 1, "kitten": 0})


def reordered_labels(root: Path) -> Path:
    """Parquet whose two files number the same classes differently."""
    return write_tables(
        root,
        train=class_table({"label": (("cat", "dog"), (0, 1))}),
        validation=class_table({"label": (("dog", "cat"), (1, 0))}, 5),
    )


def two_label_columns(root: Path) -> Path:
    """Parquet with the class labels ``coarse``, in which all is one class, and ``label``."""
    labels = {"coarse": (("x", "y"), (0, 0)), "label": (("cat", "dog"), (0, 1))}
    return write_tables(root, train=class_table(labels), validation=class_table(labels, 5))


def linked_folder(root: Path) -> Path:
    """Four more pictures of dogs in a folder of their own, linked into ``train/dog``."""
    class_folders(root)
    elsewhere = class_folders(root.parent / f"{root.name}-elsewhere", {"more": 1}, {"pictures": 4})
    (root / "train" / "dog" / "more").symlink_to((elsewhere / "pictures" / "more").resolve())
    return root


def jfif_files(root: Path) -> Path:
    """JPEG files; those of every second cat end in ``.jfif``."""
    class_folders(root, ending="jpg")
    for file in sorted((root / "train" / "cat").iterdir())[1::2]:
        file.rename(file.with_suffix(".jfif"))
    return root


def large_binary_structs(root: Path) -> Path:
    """Parquet image structs whose bytes have 64-bit offsets."""
    kind = pa.struct([("bytes", pa.large_binary()), ("path", pa.large_string())])
    return cat_dog_tables(root, lambda images: image_structs(images).cast(kind))


def paths_without_bytes(root: Path) -> Path:
    """Parquet image structs that hold the path of a file and no bytes."""
    return cat_dog_tables(
        root, lambda images: pa.array([{"path": f"{n}.png"} for n in range(len(images))])
    )


def numbered_classes(root: Path) -> Path:
    """Classes 0 to 11, Zebra and ant: by code point, by number and by letter in other orders."""
    channels = {str(number): number for number in range(12)} | {"Zebra": 0, "ant": 1}
    return class_folders(root, channels, {"train": 2, "val": 1})


def damaged_picture(root: Path) -> Path:
    """JPEG files of which one, ``train/dog/7.jpg``, is cut short."""
    file = class_folders(root, ending="jpg") / "train" / "dog" / "7.jpg"
    file.write_bytes(file.read_bytes()[: file.stat().st_size * 2 // 3])
    return root
