"""What the drawing's parts open: every layer leads to controls that change it."""

from __future__ import annotations

from itertools import pairwise

import pytest
import streamlit
from hypothesis import given, settings
from strategies import configs

from models import VARIANTS, ModelConfig
from models.config import FIELDS
from roadmap.drawing.diagrams import part_diagram, part_names
from roadmap.drawing.network import network_diagram
from roadmap.drawing.svg import SIZE
from roadmap.views.builder import editor, places
from roadmap.views.builder.places import Place, parse, place_of_group
from roadmap.views.common import builder_address
from roadmap.views.common.fields import CONTROLS, GROUPS, TITLES, group_of

TINY = VARIANTS["convnext_tiny"]


def leads_to(config: ModelConfig, drawn: str) -> dict[str, str]:
    """The controls behind each layer of a part, by the layer's words."""
    areas = part_diagram(None, config, drawn).areas
    targets = places.places_of_part(areas, Place(drawn, "stages"))
    return {area.title: there.group for area, there in targets}


def test_every_field_is_in_one_group_and_every_group_has_a_title():
    fields = [control.field for group in GROUPS.values() for control in group]
    assert sorted(fields) == sorted(FIELDS)
    assert set(TITLES) == set(GROUPS)
    assert {group_of(name) for name in CONTROLS} == set(GROUPS)


def test_layers_of_a_block_lead_to_their_controls():
    assert leads_to(TINY, "stage2") == {
        "7 by 7 depthwise 192 channels": "spatial",
        "layer norm": "norm",
        "1 by 1 convolution 192 to 768": "block",
        "GELU": "activation",
        "1 by 1 convolution 768 to 192": "block",
        "layer scale": "block",
    }


def test_stem_shortcut_and_layers_between_stages_lead_to_their_controls():
    resnet = VARIANTS["resnet50"]
    assert set(leads_to(resnet, "stem").values()) == {"stem"}
    assert leads_to(resnet, "first2")["1 by 1 convolution 256 to 512, stride 2"] == "downsampling"
    assert leads_to(TINY, "first2")["2 by 2 convolution 96 to 192, stride 2"] == "downsampling"
    assert leads_to(resnet, "stage1")["ReLU"] == "activation"


def test_the_network_leads_to_its_parts_the_input_and_the_classifier():
    targets = places.places_of_network(network_diagram(None, TINY).areas, Place("stage3", "norm"))
    found = {area.title: str(there) for area, there in targets}
    stages = {f"Stage {stage}": f"stage{stage}" for stage in range(1, 5)}
    between = {f"Into stage {stage}": f"first{stage}" for stage in range(1, 5)}
    ends = {"Input": "stage3.input", "Head": "stage3.head"}
    assert found == {"Stem": "stem"} | stages | between | ends


@settings(max_examples=30)
@given(configs())
def test_areas_are_inside_the_picture_apart_and_in_order(config):
    diagrams = [network_diagram(None, config, 512)]
    diagrams += [part_diagram(None, config, part, 512) for part in part_names(config)]
    for diagram in diagrams:
        width, height = map(float, SIZE.search(diagram.panels[-1]).groups())
        column = [area for area in diagram.areas if not area.name.startswith("shortcut")]
        for area in diagram.areas:
            assert 0 <= area.left < area.left + area.width <= width
            assert 0 <= area.top < area.top + area.height <= height
            assert area.height >= 18
        for above, below in pairwise(column):
            assert above.top + above.height <= below.top + 0.01


@given(configs())
def test_every_control_can_be_opened_in_every_network(config):
    for group in GROUPS:
        place = place_of_group(group, Place())
        assert parse(str(place), config) == place


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("stage2", ""),
        ("first6.norm", ""),
        ("stage2.nrom", "norm"),
        ("stage7", "stage6"),
        ("", "part of the network"),
        ("x" * 5000, "part of the network"),
    ],
)
def test_what_is_no_place_is_a_sentence(text, said):
    problem = places.problem(text)
    assert (said in problem) if said else problem == ""
    assert len(problem) < 700
    if said:
        assert parse(text, TINY) == Place()


def test_a_stage_that_the_network_does_not_have_is_not_drawn():
    assert parse("stage4.norm", TINY.replace(depths=(3, 3))) == Place("stage1", "norm")


@pytest.mark.parametrize("sent", ["<script>", "stage9", "stage1.nothing", None, 7, "x" * 100_000])
def test_a_click_that_no_browser_sends_opens_nothing(sent, monkeypatch):
    opened = []
    monkeypatch.setattr(editor, "go_to_place", lambda _, place: opened.append(place))
    monkeypatch.setattr(streamlit, "session_state", {editor.KEY: {"go": sent}})
    builder = builder_address.parse({}, builder_address.StartingPoint("variant", "convnext_tiny"))
    editor._opened(builder)
    assert opened == []
    monkeypatch.setattr(streamlit, "session_state", {editor.KEY: {"go": "stage2.norm"}})
    editor._opened(builder)
    assert opened == [Place("stage2", "norm")]
