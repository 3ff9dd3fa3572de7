"""Optimizer, loss and weight average of a recipe, mostly timm's; slower and frozen layers.

The groups of layers for fine-tuning follow Liu et al. 2022, Appendix A, and the official release
(``optim_factory.py``).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from timm.optim import create_optimizer_v2
from timm.utils import ModelEmaV3
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from models.network import NORMS, LayerScale, ModernResNet
from roadmap.recipes import OPTIMIZERS, Recipe
from roadmap.train.settings import Start

#: Blocks per group of layers.
BLOCKS = 3
_PLACE = re.compile(r"stages\.(\d+)\.(?:blocks\.(\d+)\.)?")


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


def lr_scale(name: str, depths: Sequence[int], decay: float) -> float:
    """Return the factor of the learning rate of the parameter ``name``.

    The layers are grouped from the input: the stem; in each stage, every three consecutive blocks,
    with the remaining blocks in the last group and the downsampling layer in the first; the head.
    The head's factor is 1, and each group before has ``decay`` times the next one's.
    """
    groups = [max(1, depth // BLOCKS) for depth in depths]
    last = 1 + sum(groups)
    place = _PLACE.match(name)
    if place is None:
        return decay ** (last if name.startswith("stem.") else 0)
    stage, block = int(place[1]), int(place[2] or 0)
    group = 1 + sum(groups[:stage]) + min(block // BLOCKS, groups[stage] - 1)
    return decay ** (last - group)


def layer_groups(
    groups: Sequence[dict[str, Any]], model: nn.Module, decay: float
) -> list[dict[str, Any]]:
    """Split parameter ``groups`` by ``lr_scale``, stored under that name, without frozen
    parameters."""
    assert isinstance(model, ModernResNet)
    names = {parameter: name for name, parameter in model.named_parameters()}
    split = []
    for group in groups:
        scaled: dict[float, list[nn.Parameter]] = {}
        for parameter in group["params"]:
            if parameter.requires_grad:
                scale = lr_scale(names[parameter], model.config.depths, decay)
                scaled.setdefault(scale, []).append(parameter)
        split += [{**group, "params": each, "lr_scale": scale} for scale, each in scaled.items()]
    return split


def freeze(network: ModernResNet, stages: int) -> list[nn.Module]:
    """Freeze the parameters of the stem and the first ``stages`` stages, if it is not 0.

    Returns these modules, which must stay in evaluation mode.
    """
    modules = [network.stem, *network.stages[:stages]] if stages else []
    for module in modules:
        module.requires_grad_(False)
    return modules


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


def weight_average(model: nn.Module, recipe: Recipe) -> ModelEmaV3 | None:
    """Return the average of ``model``'s weights, or None if the recipe has none."""
    return None if recipe.ema_decay is None else ModelEmaV3(model, decay=average_decay(recipe))


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
