"""Write the pocket networks of ``results/pocket`` from finished runs.

    python benchmarks/pocket_networks.py RUNS

``RUNS`` is a folder with ``resnet50-<step>-seed0/`` of pocket runs; ``results/pocket/README.md``
has the commands that trained them. Each network is written with half-precision tensors as
``<roadmap>-<step>.safetensors``, with its scores as metadata. ``classes.csv`` gets the words of the
classes from timm's copy of ImageNet's synset descriptions.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from timm.data import ImageNetInfo

from models.files import read_weights, weights_content
from roadmap.files import write_bytes, write_csv
from roadmap.runs.record import read_record
from roadmap.tables.results import RESULTS

FOLDER = RESULTS / "pocket"


def write(run: Path) -> list[str]:
    """Write the network of ``run`` in half precision; return the names of its classes."""
    tensors, config, metadata = read_weights(run / "weights.safetensors")
    record = read_record(run)
    assert record is not None
    half = {k: t.half() if t.is_floating_point() else t for k, t in tensors.items()}
    scores = {name: record.scores[name] for name in ("top1", "top5")}
    image_size = record.recipe["test_size"]
    assert config is not None
    content = weights_content(half, config, **metadata, scores=scores, image_size=image_size)
    name = f"{record.roadmap}-{record.step}.safetensors"
    write_bytes(FOLDER / name, *content)
    print(f"{sum(map(len, content)) / 1e6:.2f} MB  {scores['top1']:.2f}%  {name}")
    return metadata["class_names"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("runs", type=Path)
    classes = [write(path.parent) for path in sorted(parser.parse_args().runs.glob("*/run.json"))]
    words = ImageNetInfo().label_name_to_description
    rows = [{"wordnet_id": name, "word": words(name).split(",")[0]} for name in classes[0]]
    write_csv(FOLDER / "classes.csv", ("wordnet_id", "word"), rows)


if __name__ == "__main__":
    main()
