"""A network that does not fit is refused with its size; one that fits is not."""

from __future__ import annotations

from models import VARIANTS, ModelConfig
from roadmap.measure.limits import LIMIT, refusal, run_refusal, running_memory


def test_every_variant_but_the_largest_is_built():
    refused = {name for name, config in VARIANTS.items() if refusal(config, 224)}
    assert refused == {"convnext_xlarge"}
    assert "6.1 GB for one image" in refusal(VARIANTS["convnext_xlarge"], 224)


def test_a_large_image_is_refused_as_large_weights_are():
    wide = ModelConfig(depths=(1,), width=256)
    assert not refusal(wide, 224)
    assert refusal(wide.replace(stem="patchify", in_channels=4096), 1024)


def test_a_batch_is_refused_in_the_mode_where_it_does_not_fit():
    resnet = ModelConfig()
    assert not run_refusal(resnet, "inference", 64, 224)
    assert "5.9 GB in training" in run_refusal(resnet, "training", 64, 224)
    assert running_memory(resnet, "training", 32, 224) < LIMIT
