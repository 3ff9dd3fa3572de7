"""Evaluation of a network on the validation images."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import nn

from roadmap.device import autocast
from roadmap.train.data.batches import Data

#: Images per forward pass and process: enough to fill a GPU without gradients.
BATCH_SIZE = 256


class Scores(NamedTuple):
    """Top-1 and top-5 accuracy in percent, and the mean cross-entropy.

    All are None if the loss is not finite: outputs of NaN have no largest one.
    """

    top1: float | None
    top5: float | None
    loss: float | None
    images: int


def evaluate(
    network: nn.Module,
    data: Data,
    *,
    precision: str = "float32",
    batch_size: int = BATCH_SIZE,
    on_batch: Callable[[int], None] = lambda _images: None,
) -> Scores:
    """Score ``network`` once on every validation image of ``data``, over all of its processes.

    ``batch_size`` is the number of images per forward pass and process; ``on_batch`` is called with
    the number of images after each batch. The network is left in evaluation mode. With fewer than
    five classes, top-5 covers all of them.
    """
    device, world = data.device, data.world
    network.eval()
    sums_type = torch.float32 if device.type == "mps" else torch.float64
    sums = torch.zeros(3, device=device, dtype=sums_type)
    count = 0
    batches = data.val_batches(batch_size * world.size)
    with torch.inference_mode():
        for images, labels in batches:
            with autocast(device.type, precision):
                logits = network(images)
            logits = logits.float()
            guesses = logits.topk(min(5, logits.shape[1]), dim=1).indices == labels[:, None]
            losses = F.cross_entropy(logits, labels, reduction="sum")
            sums += torch.stack([guesses[:, 0].sum(), guesses.sum(), losses])
            count += len(labels)
            on_batch(len(labels))
    top1, top5, loss, total = world.sum([*sums.tolist(), count])
    total = max(total, 1)
    if not math.isfinite(loss):
        return Scores(None, None, None, int(total))
    return Scores(100 * top1 / total, 100 * top5 / total, loss / total, int(total))
