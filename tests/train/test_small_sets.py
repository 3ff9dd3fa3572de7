"""What is said before fine-tuning on few images, and that following it once is enough."""

import re

import pytest

from roadmap.recipes import FINE_TUNE
from roadmap.train.settings import choose_recipe, parse_field
from roadmap.train.small_sets import small_set


def asked(**changes):
    return choose_recipe("resnet50", "gelu", "fine_tune", changes=changes)[0]


@pytest.mark.parametrize(
    ("images", "changes", "options"),
    [
        (72, {}, "--batch-size 16 --lr 1e-3 --ema-decay none"),
        (72, {"batch_size": 16}, "--lr 1e-3 --ema-decay none"),
        (72, {"batch_size": 16, "lr": 1e-3}, "--ema-decay none"),
        (72, {"ema_decay": 0.9, "lr": 1e-3}, "--batch-size 16"),
        (72, {"epochs": 300}, "--batch-size 16 --lr 1e-4 --ema-decay none"),
        (600, {}, "--batch-size 64 --lr 4e-4 --ema-decay none"),
        (5000, {}, "--lr 4e-4 --ema-decay none"),
        (100_000, {}, "--ema-decay none"),
        # Nothing is left to say of explicit options, nor of the paper's for its own set.
        (72, {"batch_size": 16, "lr": 3.1e-6, "ema_decay": 0.999}, None),
        (1_281_167, {}, None),
    ],
)
def test_options_for_few_images_replace_the_defaults_that_are_for_more(images, changes, options):
    said = small_set(asked(**changes), FINE_TUNE, images)
    if options is None:
        assert said is None
        return
    assert said.endswith(f": try {options}")
    followed = changes | {
        name.replace("-", "_"): parse_field(name.replace("-", "_"), value)
        for name, value in re.findall(r"--([a-z-]+) (\S+)", options)
    }
    assert small_set(asked(**followed), FINE_TUNE, images) is None


def test_the_sentence_says_what_is_wrong():
    assert small_set(FINE_TUNE, FINE_TUNE, 72).startswith(
        "72 training images give 30 steps of 512, too few for a learning rate of 5e-05 and an "
        "average with decay 0.9999: try "
    )
