"""Training learns: a ResNet and a ConvNeXt, on all the digits."""

import pytest
from training_runs import tiny_settings

from roadmap.train.run import train


@pytest.mark.parametrize("step", ["training", "separate_downsampling"])
def test_two_epochs_learn_the_digits(step, tmp_path):
    changes = {"epochs": 2, "batch_size": 64, "lr": 1e-2, "mixup": 0.0, "cutmix": 0.0}
    content = train(tiny_settings(tmp_path / "run", step=step, changes=changes))
    assert content["scores"]["top1"] > 60
