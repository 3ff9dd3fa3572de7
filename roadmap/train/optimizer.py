"""Optimizer, loss and weight average of a recipe, mostly timm's."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from timm.optim import create_optimizer_v2
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from models.network import NORMS, LayerScale
from roadmap.recipes import OPTIMIZERS, Recipe
from roadmap.train.fine_tune import layer_groups
from roadmap.train.settings import Start


def build_optimizer(
    model: nn.Module, recipe: Recipe, start: Start | None = None
) -> torch.optim.Optimizer:
    """Create the recipe's optimizer for ``model``, fused if torch has a fused version.

    With ``start``, its groups have ``lr_scale``, the factor of their learning rate.
    """
    groups = parameter_groups(model, recipe)
    if start is not None:
        groups = layer_groups(groups, model, start.layer_decay)
    kind = OPTIMIZERS[recipe.optimizer]
    options: dict[str, Any] = {}
    if kind.moments == 2:
        options["betas"] = recipe.betas
    if kind.fused and next(model.parameters()).device.type in ("cuda", "cpu"):
        options["fused"] = True
    return create_optimizer_v2(
        groups,
        opt=kind.timm_name,
        lr=recipe.lr,
        weight_decay=recipe.weight_decay,
        momentum=recipe.momentum,
        **options,
    )


def parameter_groups(model: nn.Module, recipe: Recipe) -> list[dict[str, Any]]:
    """Return parameter groups: weights of convolutions and linear layers; and norms, biases and
    layer scale, with the recipe's ``norm_weight_decay`` if it has one."""
    if recipe.norm_weight_decay is None:
        return [{"params": list(model.parameters()), "weight_decay": recipe.weight_decay}]
    plain: list[nn.Parameter] = []
    special: list[nn.Parameter] = []
    for module in model.modules():
        scaling = isinstance(module, (_BatchNorm, nn.LayerNorm, LayerScale, *NORMS.values()))
        for name, parameter in module.named_parameters(recurse=False):
            (special if scaling or name == "bias" else plain).append(parameter)
    return [
        {"params": plain, "weight_decay": recipe.weight_decay},
        {"params": special, "weight_decay": recipe.norm_weight_decay},
    ]


def loss_function(recipe: Recipe) -> Callable[[Tensor, Tensor], Tensor]:
    """Compute the loss of a batch, summed over its images, in float32.

    Takes logits and target probabilities, both (N, classes); the targets include label smoothing
    and mixing. Binary cross-entropy is averaged over the classes, as in timm.
    """

    def cross_entropy(logits: Tensor, targets: Tensor) -> Tensor:
        return F.cross_entropy(logits.float(), targets, reduction="sum")

    def binary_cross_entropy(logits: Tensor, targets: Tensor) -> Tensor:
        logits = logits.float()
        loss = F.binary_cross_entropy_with_logits(logits, targets, reduction="sum")
        return loss / logits.shape[1]

    losses = {"cross_entropy": cross_entropy, "binary_cross_entropy": binary_cross_entropy}
    return losses[recipe.loss]


def average_decay(recipe: Recipe) -> float:
    """Return the decay of the weight average at each of its updates.

    With an update at every step, it is the recipe's. TorchVision's script updates every
    ``ema_every`` steps and multiplies 1 - decay by batch size x ``ema_every`` / epochs
    (references/classification).
    """
    if recipe.ema_decay is None:
        raise ValueError("the recipe has no ema_decay")
    if recipe.ema_every == 1:
        return recipe.ema_decay
    share = (1 - recipe.ema_decay) * recipe.batch_size * recipe.ema_every / recipe.epochs
    return 1 - min(1.0, share)
