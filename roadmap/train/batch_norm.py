"""Whether batch norm gets more than one value per channel."""

from __future__ import annotations

from collections.abc import Iterator

from models.config import ModelConfig
from models.spec import Norm, network_spec, placed_layers
from roadmap.recipes import Recipe
from roadmap.train.errors import RefusedError


def check_batch_norm(
    config: ModelConfig,
    recipe: Recipe,
    *,
    micro_batch: int | None,
    processes: int,
    synchronized: bool,
) -> None:
    """Raises ``RefusedError`` where batch norm would normalize a single value.

    That is where its feature map is one pixel and the images of one part of the batch are one:
    of one process, or of all where the statistics are ``synchronized``.
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
        wanted = "one that leaves 2 images or more in every part"
    raise RefusedError(
        f"{part} sends one image at a time through batch norm ({layer}), whose feature map is one "
        f"pixel at {recipe.train_size} pixels: one value has no variance. Use {wanted}, or larger "
        "images"
    )


def _on_one_pixel(config: ModelConfig, image_size: int) -> Iterator[str]:
    """The batch norms whose feature map is a single pixel."""
    spec = network_spec(config)
    for placed in placed_layers(spec, image_size):
        if isinstance(placed.layer, Norm) and placed.layer.kind == "batch" and placed.out_size == 1:
            yield placed.path
    if spec.head_norm and spec.head_norm.kind == "batch":
        yield "head.norm"
