"""Diagrams and stage tables say what the block specification says."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree

import pytest
from hypothesis import given, settings
from strategies import configs

from models import VARIANTS, ModelConfig
from models.spec import Conv, placed_layers
from models.spec import network_spec as spec_of
from roadmap import palette
from roadmap.drawing import diagrams
from roadmap.steps import ROADMAPS

RESNET50 = ROADMAPS["resnet50"]


def of_step(key: str, roadmap: str = "resnet50") -> list[diagrams.Diagram]:
    steps = ROADMAPS[roadmap]
    previous = steps.previous(key)
    return diagrams.step_diagrams(
        steps.config(previous.key) if previous else None, steps.config(key)
    )


def texts(svg: str) -> list[str]:
    return [element.text for element in ElementTree.fromstring(svg).iter() if element.text]


def described(svg: str) -> str:
    return ElementTree.fromstring(svg).get("aria-label")


@pytest.mark.parametrize(
    ("key", "titles"),
    [
        ("baseline", ["The stem", "The block"]),
        ("training", []),
        ("stage_ratio", ["Blocks per stage"]),
        ("patchify_stem", ["The stem"]),
        ("depthwise_conv", ["The block"]),
        ("increase_width", ["The stem", "The block"]),
        ("inverted_bottleneck", ["The block"]),
        ("kernel_11", ["The block"]),
        (
            "separate_downsampling",
            ["The stem", "The block", "From the first stage to the second"],
        ),
    ],
)
def test_a_step_shows_what_it_changes(key, titles):
    assert [diagram.title for diagram in of_step(key)] == titles


@pytest.mark.parametrize("name", ["resnet50", "resnet200"])
def test_every_architecture_step_but_the_recipe_has_a_diagram(name):
    empty = [key for key in ROADMAPS[name].keys if not of_step(key, name)]
    assert empty == ["training"]


@pytest.mark.parametrize(
    ("key", "changed"),
    [
        ("patchify_stem", "4 by 4 convolution 3 to 64, stride 4 (changed)"),
        ("depthwise_conv", "3 by 3 depthwise 64 channels (changed)"),
        ("inverted_bottleneck", "3 by 3 depthwise 384 channels (changed)"),
        ("move_up_depthwise", "3 by 3 depthwise 96 channels (changed)"),
        ("kernel_7", "7 by 7 depthwise 96 channels (changed)"),
        ("gelu", "GELU (changed)"),
        ("layer_norm", "layer norm (changed)"),
        ("separate_downsampling", "layer scale (added)"),
    ],
)
def test_changes_are_marked(key, changed):
    (after,) = (d.panels[1] for d in of_step(key) if d.title != "From the first stage to the second"
                if changed in described(d.panels[1]))  # fmt: skip
    assert {"+", "Δ"} & set(texts(after))


def test_what_goes_is_marked_before_and_absent_after():
    (block,) = of_step("fewer_activations")
    before, after = block.panels
    assert described(before).count("(removed)") == 2
    assert "after the addition GELU (removed)" in described(before)
    assert described(after).count("GELU") == 1
    assert texts(before).count("−") == 2


def test_a_moved_layer_is_changed_although_it_is_the_same():
    middle = ModelConfig(block="inverted", depthwise=True, depths=(2,), width=8)
    first = middle.replace(depthwise_position="first")
    panels = diagrams.part_diagram(middle, first, "stage1", image_size=32).panels
    assert "".join(panels).count("depthwise 8 channels (changed)") == 1


def test_widths_are_in_proportion_to_channels():
    (block,) = of_step("inverted_bottleneck")
    widths = []
    for polygon in ElementTree.fromstring(block.panels[1]).iter():
        if polygon.tag.endswith("polygon"):
            x = [float(point.split(",")[0]) for point in polygon.get("points").split()]
            widths.append((x[1] - x[0], x[2] - x[3]))
    (narrow, wide), middle, last = widths
    assert wide == pytest.approx(4 * narrow, rel=0.02)
    assert middle == pytest.approx((wide, wide))
    assert last == pytest.approx((wide, narrow))


def test_depths_say_how_many_blocks_come_and_go():
    (diagram,) = of_step("stage_ratio")
    assert described(diagram.panels[1]) == "Blocks per stage: 3, 3, 9, 3"
    assert "9 (+3)" in texts(diagram.panels[1])
    assert "3 (−1)" in texts(diagram.panels[1])


@settings(max_examples=40)
@given(configs(), configs())
def test_any_two_networks_are_drawn(before, after):
    for diagram in diagrams.step_diagrams(before, after, image_size=224):
        assert len(diagram.panels) == 2
        for svg in diagram.panels:
            root = ElementTree.fromstring(svg)
            assert root.get("role") == "img"
            assert root.get("aria-label")
            assert not any(element.get("fill") == "black" for element in root.iter())


def test_equal_networks_have_no_diagrams():
    assert diagrams.step_diagrams(ModelConfig(), ModelConfig()) == []


@pytest.mark.parametrize("key", ["baseline", "inverted_bottleneck", "stage_ratio"])
def test_alone_a_diagram_has_its_own_colors(key):
    for diagram in of_step(key):
        picture = ElementTree.fromstring(diagram._repr_svg_())
        paper = picture[0]
        assert (paper.get("width"), paper.get("height")) == ("100%", "100%")
        assert paper.get("fill") == palette.LIGHT_BACKGROUND
        assert picture.get("color") == palette.LIGHT_TEXT  # what currentColor stands for inside
        panels = [element for element in picture if element.tag.endswith("svg")]
        assert len(panels) == len(diagram.panels)
        # Beside each other, and none reaches out of the picture or follows a page's width.
        ends = [float(panel.get("x")) + float(panel.get("width")) for panel in panels]
        starts = [float(panel.get("x")) for panel in panels]
        assert all(end < start for end, start in zip(ends, starts[1:], strict=False))
        assert ends[-1] < float(picture.get("width"))
        assert all(panel.get("style") is None for panel in panels)
        for panel in diagram.panels:
            assert described(panel) in picture.get("aria-label")


def test_text_is_escaped_in_captions():
    assert "<b>" not in diagrams.side_by_side(("<svg/>", "<svg/>"), ("<b>", "After"))


def test_stage_table_of_convnext_is_the_papers():
    rows = diagrams.stage_table(VARIANTS["convnext_tiny"])
    assert rows[0] == diagrams.StageRow("Stem", "56 × 56", ("4×4, 96, stride 4",))
    assert rows[1] == diagrams.StageRow(
        "Stage 1", "56 × 56", ("d7×7, 96", "1×1, 384", "1×1, 96"), 3
    )
    assert [row.times for row in rows if row.name.startswith("Stage")] == [3, 3, 9, 3]
    assert rows[-1].lines == ("global average pooling", "layer norm", "linear, 1000")


def test_stage_table_of_resnet50_is_the_papers():
    rows = {row.name: row for row in diagrams.stage_table(RESNET50.config("baseline"))}
    assert rows["Stem"].lines == ("7×7, 64, stride 2", "3×3 max pool, stride 2")
    assert rows["Stage 4"] == diagrams.StageRow(
        "Stage 4", "7 × 7", ("1×1, 512", "3×3, 512", "1×1, 2048"), 3
    )
    assert "Downsampling 1" not in rows


@settings(max_examples=40)
@given(configs())
def test_stage_sizes_are_those_of_the_network(config):
    placed = list(placed_layers(spec_of(config), 96))
    for row in diagrams.stage_table(config, image_size=96):
        if row.name.startswith("Stage"):
            prefix = f"stages.{int(row.name[6:]) - 1}."
            last = [p for p in placed if p.path.startswith(prefix) and ".branch." in p.path][-1]
            assert row.size == f"{last.out_size} × {last.out_size}"
            convs = [p for p in placed if p.path.startswith(prefix) and isinstance(p.layer, Conv)]
            assert str(convs[-1].layer.out_channels) in row.lines[-1]


def test_an_image_that_is_too_small_is_refused():
    config = ModelConfig(stem="patchify")
    with pytest.raises(ValueError, match="too small"):
        diagrams.stage_table(config, image_size=3)
