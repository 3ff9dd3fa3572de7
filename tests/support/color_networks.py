"""Networks that tell the pictures of ``cases`` apart, without training."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch

from models import ModernResNet
from roadmap.recipes import RECIPES
from roadmap.steps import ROADMAPS
from roadmap.train.data.batches import open_data
from roadmap.train.data.sources import open_source
from roadmap.train.pocket import pocket_recipe

#: How they look at a picture.
RECIPE = pocket_recipe(RECIPES["convnext"])
SMALL = {"depths": (1, 1), "width": 8}


def tells_channels_apart(data_path: Path, class_names: Sequence[str]) -> ModernResNet:
    """A network whose output i is highest for pictures of class i of ``class_names``, unlearned:
    its classifier is fitted to the features of a random network."""
    data = open_data(open_source(data_path), RECIPE, device="cpu", seed=0, workers=0)
    torch.manual_seed(0)
    config = ROADMAPS["resnet50"].config("kernel_7", **SMALL)
    network = ModernResNet(config.replace(num_classes=len(class_names))).eval()
    images, labels = next(data.val_batches(100))
    place = torch.tensor([class_names.index(name) for name in data.info.class_names])
    wanted = torch.nn.functional.one_hot(place[labels], len(class_names)).float()
    with torch.no_grad():
        features = network.forward_features(images).mean((2, 3))
        ones = torch.ones(len(features), 1)
        found = torch.linalg.lstsq(torch.cat([features, ones], 1), wanted, driver="gelsd").solution
        network.head.fc.weight.copy_(found[:-1].T)
        network.head.fc.bias.copy_(found[-1])
    return network
