"""Costs by kind of layer add up to the network's."""

import pytest

from models import VARIANTS
from roadmap.measure.complexity import count
from roadmap.measure.kinds import KINDS, KindChange, layers_by_kind, macs_by_kind, parts
from roadmap.steps import ROADMAPS

RESNET = ROADMAPS["resnet50"]


@pytest.mark.parametrize("roadmap", ["resnet50", "resnet200"])
def test_the_kinds_add_up_to_the_count(roadmap):
    for key in ROADMAPS[roadmap].keys:
        config = ROADMAPS[roadmap].config(key)
        assert sum(macs_by_kind(config).values()) == count(config).macs
        assert set(macs_by_kind(config)) <= set(KINDS)


def changed(of, key):
    before = RESNET.config(RESNET.previous(key).key)
    return parts(of(before), of(RESNET.config(key)))


def test_a_step_changes_its_kind_of_layer():
    spatial, depthwise = changed(macs_by_kind, "depthwise_conv")
    assert (spatial.kind, spatial.after, depthwise.kind, depthwise.before) == (
        "spatial",
        0,
        "depthwise",
        0,
    )
    # Each of 16 channels' 9 weights remains of 9 x 16: a filter per channel.
    assert spatial.before > 60 * depthwise.after
    assert [part.kind for part in changed(macs_by_kind, "kernel_7")] == ["depthwise"]
    assert [part.kind for part in changed(macs_by_kind, "patchify_stem")] == ["stem"]
    assert not changed(macs_by_kind, "gelu")


@pytest.mark.usefixtures("one_thread")
def test_layers_are_counted_in_the_network():
    from torch import nn

    from models import ModernResNet

    for name in ("resnet50", "convnext_tiny"):
        network = ModernResNet(VARIANTS[name].replace(width=8))
        kinds = [type(module).__name__ for module in network.modules()]
        found = layers_by_kind(VARIANTS[name])
        assert kinds.count("BatchNorm2d") == found.get("batch", 0)
        assert kinds.count("LayerNorm2d") + kinds.count("LayerNorm") == found.get("layer", 0)
        assert sum(isinstance(m, nn.GELU) for m in network.modules()) == found.get("gelu", 0)


def test_the_micro_steps_change_the_number_of_layers():
    assert changed(layers_by_kind, "gelu") == [KindChange("relu", 54, 0), KindChange("gelu", 0, 54)]
    assert changed(layers_by_kind, "fewer_activations") == [KindChange("gelu", 54, 18)]
    assert changed(layers_by_kind, "no_layer_scale") == [KindChange("scale", 18, 0)]
    assert changed(layers_by_kind, "layer_norm") == [
        KindChange("batch", 21, 0),
        KindChange("layer", 0, 21),
    ]
