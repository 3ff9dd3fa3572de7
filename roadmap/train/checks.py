"""Check that a network can be trained on images of a recipe's sizes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from models.config import ModelConfig
from models.spec import NetworkSpec, Norm, PlacedLayer, network_spec, placed_layers
from roadmap.errors import RefusedError
from roadmap.recipes import Recipe


def check_network(
    config: ModelConfig,
    recipe: Recipe,
    *,
    micro_batch: int | None,
    processes: int,
    synchronized: bool,
) -> None:
    """Raise ``RefusedError`` if a layer would have no output at the recipe's image sizes, or if
    batch norm would normalize a single value.

    The second happens if its feature map is a single pixel and a part of the batch is a single
    image: the part of one process, or of all processes if the statistics are ``synchronized``.
    """
    spec = network_spec(config)
    placed = {side: _placed(spec, side) for side in sorted({recipe.test_size, recipe.train_size})}
    share = recipe.batch_size // processes
    size = min(micro_batch or share, share)
    smallest = share % size or size
    if smallest * (processes if synchronized else 1) > 1:
        return
    layer = next(_on_one_pixel(spec, placed[recipe.train_size]), None)
    if layer is None:
        return
    if smallest == share:
        least = 2 if synchronized else 2 * processes
        part, wanted = f"a batch of {recipe.batch_size}", f"--batch-size {least} or more"
        if processes > 1:
            part += f" over {processes} processes"
    else:
        part = f"--micro-batch {micro_batch} of {share}"
        wanted = "a value that leaves at least 2 images in every part"
    raise RefusedError(
        f"{part} passes one image at a time to batch norm ({layer}), whose feature map is a single "
        f"pixel at image size {recipe.train_size}: one value has no variance. Use {wanted}, or "
        "larger images"
    )


def _placed(spec: NetworkSpec, side: int) -> list[PlacedLayer]:
    try:
        return list(placed_layers(spec, side))
    except ValueError as error:
        raise RefusedError(f"--image-size: at {side} pixels {error}") from None


def _on_one_pixel(spec: NetworkSpec, layers: Iterable[PlacedLayer]) -> Iterator[str]:
    """Yield the batch norms whose feature map is a single pixel."""
    for placed in layers:
        if isinstance(placed.layer, Norm) and placed.layer.kind == "batch" and placed.out_size == 1:
            yield placed.path
    if spec.head_norm and spec.head_norm.kind == "batch":
        yield "head.norm"
