"""Check that a network can be trained on images of a recipe's sizes."""

from __future__ import annotations

from models.config import ModelConfig
from models.spec import Norm, PlacedLayer, network_spec, placed_layers
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
    for size in (recipe.test_size, recipe.train_size):
        placed = placed_at(config, size)
    share = recipe.batch_size // processes
    part_size = min(micro_batch or share, share)
    smallest = share % part_size or part_size
    if smallest * (processes if synchronized else 1) > 1:
        return
    norms = [each for each in placed if isinstance(each.layer, Norm) and each.layer.kind == "batch"]
    paths = [each.path for each in norms if each.out_size == 1]
    head = network_spec(config).head_norm
    if head is not None and head.kind == "batch":
        paths.append("head.norm")
    if not paths:
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
        f"{part} passes one image at a time to batch norm ({paths[0]}), whose feature map is a "
        f"single pixel at image size {recipe.train_size}: one value has no variance. Use {wanted}, "
        "or larger images"
    )


def placed_at(config: ModelConfig, image_size: int) -> list[PlacedLayer]:
    """Return the layers of the network with their output sizes. Raises ``RefusedError`` if one
    would have no output at ``image_size``."""
    try:
        return list(placed_layers(network_spec(config), image_size))
    except ValueError as error:
        raise RefusedError(f"--image-size: at {image_size} pixels {error}") from None
