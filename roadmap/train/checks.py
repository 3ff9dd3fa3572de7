"""Check that a network can be trained on images of a recipe's sizes."""

from __future__ import annotations

from collections.abc import Iterator

from models.config import ModelConfig
from models.spec import Norm, network_spec, placed_layers
from roadmap.errors import RefusedError
from roadmap.recipes import Recipe


def check_image_sizes(config: ModelConfig, recipe: Recipe) -> None:
    """Raise ``RefusedError`` if a layer would have no output at the recipe's image sizes."""
    for side in sorted({recipe.train_size, recipe.test_size}):
        try:
            list(placed_layers(network_spec(config), side))
        except ValueError as error:
            raise RefusedError(f"--image-size: at {side} pixels {error}") from None


def check_batch_norm(
    config: ModelConfig,
    recipe: Recipe,
    *,
    micro_batch: int | None,
    processes: int,
    synchronized: bool,
) -> None:
    """Raise ``RefusedError`` if batch norm would normalize a single value.

    That happens if its feature map is a single pixel and a part of the batch is a single image: the
    part of one process, or of all processes if the statistics are ``synchronized``.
    """
    share = recipe.batch_size // processes
    size = min(micro_batch or share, share)
    smallest = share % size or size
    if smallest * (processes if synchronized else 1) > 1:
        return
    layer = next(_on_one_pixel(config, recipe.train_size), None)
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
        "larger "
        "images"
    )


def _on_one_pixel(config: ModelConfig, image_size: int) -> Iterator[str]:
    """Return the batch norms whose feature map is a single pixel."""
    spec = network_spec(config)
    for placed in placed_layers(spec, image_size):
        if isinstance(placed.layer, Norm) and placed.layer.kind == "batch" and placed.out_size == 1:
            yield placed.path
    if spec.head_norm and spec.head_norm.kind == "batch":
        yield "head.norm"
