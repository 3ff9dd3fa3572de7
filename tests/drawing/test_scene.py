"""The shapes of lecture mode follow from the specification."""

from __future__ import annotations

from models.spec import Conv, network_spec
from roadmap.drawing.scene import scene, widest
from roadmap.steps import ROADMAPS


def test_every_convolution_of_the_block_is_drawn_with_its_sizes():
    for roadmap in ROADMAPS.values():
        wide = widest(roadmap.config(key) for key in roadmap.keys)
        for key in roadmap.keys:
            previous = roadmap.previous(key)
            before = roadmap.config(previous.key) if previous else None
            drawn = scene(before, roadmap.config(key), wide).block.shapes
            kept = [each for each in drawn if each.kind == "conv" and each.mark != "removed"]
            block = network_spec(roadmap.config(key)).stages[0].blocks[-1]
            convs = [layer for layer in block.branch if isinstance(layer, Conv)]
            assert [each.kernel for each in kept] == [conv.kernel_size for conv in convs], key
            assert len({each.name for each in drawn}) == len(drawn)


def test_a_removed_layer_stays_for_one_step_and_is_marked():
    roadmap = ROADMAPS["resnet50"]
    wide = widest(roadmap.config(key) for key in roadmap.keys)
    configs = [roadmap.config(key) for key in ("gelu", "fewer_activations", "fewer_norms")]
    first = scene(configs[0], configs[1], wide).block.shapes
    second = scene(configs[1], configs[2], wide).block.shapes
    assert [each.text for each in first if each.mark == "removed"] == ["GELU", "GELU"]
    assert {each.text for each in second if each.mark == "removed"} == {"batch norm"}


def test_a_stage_is_marked_when_its_blocks_or_its_channels_change():
    roadmap = ROADMAPS["resnet50"]
    wide = widest(roadmap.config(key) for key in roadmap.keys)

    def marked(key: str) -> list[str]:
        before = roadmap.config(roadmap.previous(key).key)
        shapes = scene(before, roadmap.config(key), wide).network.shapes
        return [each.name for each in shapes if each.kind == "stage" and each.mark]

    assert marked("stage_ratio") == ["stage2", "stage3"]
    assert marked("increase_width") == ["stage1", "stage2", "stage3", "stage4"]
    assert marked("kernel_7") == []
