"""Layers, sizes and costs of the specification, counted by hand. Imports no torch."""

from dataclasses import fields

import pytest

from models import VARIANTS, ModelConfig
from models.spec import (
    NORM_EPS,
    Activation,
    BlockSpec,
    Conv,
    LayerScale,
    MaxPool,
    Norm,
    block_spec,
    network_spec,
    placed_layers,
)

RESNET = ModelConfig(depths=(2, 1), width=16, num_classes=10)
CONVNEXT = VARIANTS["convnext_tiny"].replace(depths=(2, 1), width=16, num_classes=10)


@pytest.mark.parametrize(
    ("layer", "sizes"),
    [
        (Conv("conv", 3, 8, 7, stride=2), {224: 112, 223: 112, 1: 1}),
        (Conv("conv", 3, 8, 4, stride=4), {224: 56, 227: 56, 3: 0}),
        (Conv("conv", 3, 8, 2, stride=2), {15: 7, 1: 0}),
        (Conv("conv", 3, 8, 3), {14: 14}),
        (Conv("conv", 3, 8, 1), {14: 14}),
        (MaxPool("pool"), {112: 56, 113: 57}),
    ],
)
def test_the_output_of_a_layer_has_the_size_of_its_windows(layer, sizes):
    found = {size: layer.output_size(size) for size in sizes}
    assert found == sizes
    assert {type(size) for size in found.values()} == {int}


def test_a_convolution_counts_its_groups_and_its_bias():
    grouped = Conv("conv", 8, 12, 3, groups=4, bias=True)
    assert grouped.parameters == 12 * 2 * 9 + 12
    assert grouped.macs(5) == 12 * 2 * 9 * 25
    assert Conv("conv", 8, 12, 3).parameters == 12 * 8 * 9
    assert Norm("norm", "batch", 8).parameters == 16
    assert LayerScale("scale", 8, 1e-6).parameters == 8
    assert Activation("act", "relu").parameters == MaxPool("pool").parameters == 0


def test_norms_have_the_epsilons_of_the_networks_they_are_from():
    assert NORM_EPS == {"batch": 1e-5, "layer": 1e-6, "response": 1e-6}


def test_depthwise_is_a_group_per_channel_of_several():
    assert Conv("conv", 2, 2, 3, groups=2).depthwise
    assert not Conv("conv", 4, 4, 3, groups=2).depthwise
    assert not Conv("conv", 1, 1, 3).depthwise


@pytest.mark.parametrize(
    ("narrow", "channels", "kernel_size", "stride", "groups"),
    [
        (True, 15, 1, 2, 1),
        (True, 30, 1, 2, 2),
        (False, 16, 1, 2, 1),
        (False, 15, 1, 1, 1),
        (False, 15, 3, 2, 1),
    ],
)
def test_narrow_strided_is_where_onednn_is_wrong(narrow, channels, kernel_size, stride, groups):
    conv = Conv("conv", channels, 30, kernel_size, stride, groups)
    assert conv.narrow_strided is narrow


def told(layers):
    """Layers in short: their names, and the fields that are not as by default."""
    return [
        (layer.name, *(getattr(layer, f.name) for f in fields(layer) if f.name not in SILENT))
        for layer in layers
    ]


SILENT = ("name", "kind", "parameters")


def test_the_layers_of_a_resnet():
    spec = network_spec(RESNET)
    assert told(spec.stem) == [
        ("conv", 3, 16, 7, 2, 1, False),
        ("norm", 16),
        ("act",),
        ("pool", 3, 2),
    ]
    first, second = spec.stages[0].blocks
    [third] = spec.stages[1].blocks
    assert told(first.branch) == [
        ("conv1", 16, 16, 1, 1, 1, False),
        ("norm1", 16),
        ("act1",),
        ("conv2", 16, 16, 3, 1, 1, False),
        ("norm2", 16),
        ("act2",),
        ("conv3", 16, 64, 1, 1, 1, False),
        ("norm3", 64),
    ]
    assert told(first.shortcut) == [("conv", 16, 64, 1, 1, 1, False), ("norm", 64)]
    assert (second.in_channels, second.shortcut) == (64, ())
    assert [layer.stride for layer in third.branch if isinstance(layer, Conv)] == [1, 2, 1]
    assert told(third.shortcut) == [("conv", 64, 128, 1, 2, 1, False), ("norm", 128)]
    assert {block.activation for block in (first, second, third)} == {"relu"}
    assert [stage.downsample for stage in spec.stages] == [(), ()]
    assert (spec.head_norm, spec.num_features) == (None, 128)
    assert (spec.classifier_parameters, spec.classifier_macs) == (129 * 10, 1280)


def test_the_layers_of_a_convnext():
    spec = network_spec(CONVNEXT)
    assert told(spec.stem) == [("conv", 3, 16, 4, 4, 1, True), ("norm", 16)]
    first, second = spec.stages[0].blocks
    [third] = spec.stages[1].blocks
    assert told(first.branch) == [
        ("conv1", 16, 16, 7, 1, 16, True),
        ("norm1", 16),
        ("conv2", 16, 64, 1, 1, 1, True),
        ("act2",),
        ("conv3", 64, 16, 1, 1, 1, True),
        ("scale", 16, 1e-6),
    ]
    assert told(spec.stages[1].downsample) == [("norm", 16), ("conv", 16, 32, 2, 2, 1, True)]
    assert [layer.stride for layer in third.branch if isinstance(layer, Conv)] == [1, 1, 1]
    assert [block.shortcut for block in (first, second, third)] == [(), (), ()]
    assert {block.activation for block in (first, second, third)} == {None}
    assert spec.head_norm == Norm("norm", "layer", 32)


def test_convolutions_have_a_bias_where_no_batch_norm_follows():
    spec = network_spec(RESNET.replace(norm="layer"))
    block = spec.stages[0].blocks[0]
    convs = [layer for layer in (*spec.stem, *block.branch) if isinstance(layer, Conv)]
    assert [conv.bias for conv in convs] == [True] * 4
    assert block.shortcut[0].bias is False


def test_patches_before_separate_downsampling_have_no_norm():
    assert told(network_spec(RESNET.replace(stem="patchify")).stem) == [
        ("conv", 3, 16, 4, 4, 1, True)
    ]


def test_a_single_norm_follows_the_depthwise_convolution():
    for position, name in (("first", "norm1"), ("middle", "norm2")):
        block = block_spec(CONVNEXT.replace(depthwise_position=position), 0, 16)
        assert [layer.name for layer in block.branch if isinstance(layer, Norm)] == [name]


def test_grn_stands_before_the_last_convolution():
    block = block_spec(CONVNEXT.replace(response_norm=True), 0, 16)
    assert [layer.name for layer in block.branch][3:6] == ["act2", "grn", "conv3"]
    assert block.branch[4] == Norm("grn", "response", 64)


def test_groups_are_those_of_the_spatial_convolution():
    def groups(**changes):
        block = block_spec(RESNET.replace(**changes), 1, 64)
        return [layer.groups for layer in block.branch if isinstance(layer, Conv)]

    assert groups(groups=4) == [1, 4, 1]
    assert groups(depthwise=True) == [1, 32, 1]


def test_a_block_by_itself_keeps_the_size_and_is_never_dropped():
    block = block_spec(RESNET, 0, 64)
    assert isinstance(block, BlockSpec)
    assert (block.shortcut, block.drop_path) == ((), 0)
    assert block_spec(RESNET, 0, 64, stride=2).shortcut  # same channels, half the size


def test_stochastic_depth_grows_from_none_at_the_first_block():
    spec = network_spec(RESNET.replace(stochastic_depth=0.5))
    assert [b.drop_path for stage in spec.stages for b in stage.blocks] == [0, 0.25, 0.5]
    for depth, rates in ((1, [0]), (2, [0, 0.5])):
        [stage] = network_spec(RESNET.replace(depths=(depth,), stochastic_depth=0.5)).stages
        assert [block.drop_path for block in stage.blocks] == rates


def test_layers_have_their_place_and_output_size():
    placed = {layer.path: layer for layer in placed_layers(network_spec(RESNET), 65)}
    assert {path: each.out_size for path, each in placed.items() if "conv2" in path} == {
        "stages.0.blocks.0.branch.conv2": 17,
        "stages.0.blocks.1.branch.conv2": 17,
        "stages.1.blocks.0.branch.conv2": 9,
    }
    assert placed["stem.conv"].out_size == 33
    assert placed["stem.pool"].out_size == 17
    assert placed["stages.0.blocks.0.shortcut.conv"].macs == 16 * 64 * 17**2
    assert placed["stages.1.blocks.0.shortcut.norm"].out_size == 9
    assert (placed["stages.0.blocks.0.branch.norm1"].macs, placed["stem.pool"].macs) == (0, 0)
    separate = {layer.path: layer for layer in placed_layers(network_spec(CONVNEXT), 32)}
    assert separate["stages.1.downsample.norm"].out_size == 8
    assert separate["stages.1.downsample.conv"].out_size == 4
    assert separate["stages.1.blocks.0.branch.scale"].out_size == 4


def test_an_image_without_a_pixel_left_is_refused_where_it_ends():
    assert [layer.out_size for layer in placed_layers(network_spec(CONVNEXT), 8)][-1] == 1
    with pytest.raises(ValueError, match=r"stages\.1\.downsample\.conv"):
        list(placed_layers(network_spec(CONVNEXT), 7))
