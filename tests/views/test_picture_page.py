"""The page Picture, run by Streamlit's own test harness."""

from __future__ import annotations

from functools import partial

import pages
import pytest
from pages import address, view

from roadmap.steps import ROADMAPS
from roadmap.tables.pocket import shipped
from roadmap.tables.results import RESULTS
from roadmap.views.common.picture_link import picture_link
from roadmap.views.picture.networks import pocket
from roadmap.views.picture.page import PICTURES, known_pictures
from roadmap.views.picture.tree import tree

opened = partial(pages.opened, "picture")
RESNET50 = ROADMAPS["resnet50"]
PART = "b.stages.1.blocks.0.branch.conv1"


def test_two_networks_are_shown_with_their_stages_and_classes():
    html = view(opened())
    assert html.count('class="column"') == 10
    assert html.count("<b>Top 5</b>") == 2
    assert 'data-go="a.stages.3"' in html
    assert html.count("data:image/png") == 10
    assert "40.9% top-1" in html


def test_equal_networks_have_no_difference():
    assert "delta" not in view(opened(a="gelu", b="gelu"))
    assert "delta" in view(opened(a="gelu", b="fewer_norms"))


@pytest.mark.parametrize("picture", PICTURES)
def test_every_picture_is_shown(picture):
    title = PICTURES[picture]["title"].replace("'", "&#x27;")
    assert f'alt="{title}"' in view(opened(picture=picture))


def test_it_counts_the_pictures_that_show_a_class_that_the_small_networks_know():
    assert "5 of the 6 pictures show one of them;" in pages.html(opened())
    assert known_pictures(PICTURES.values(), ["n01882714"]).startswith("1 of the 6 pictures shows ")


def test_the_picture_s_class_is_named_and_marked_among_the_answers():
    koala, coffee = (view(opened(picture=name)) for name in ("koala", "coffee"))
    assert "Class: koala.<br>" in koala
    assert '>koala <i class="right"' in koala
    assert "Class: cup, unknown to these networks.<br>" in coffee
    assert 'class="right"' not in coffee


def test_each_picture_has_its_own_outputs():
    app = opened(picture="cat")
    cat = view(app)
    app.query_params["picture"] = "coffee"
    coffee = view(pages.checked(app.run()))
    classes = [html.split("<b>Top 5</b>")[1].split("</ol>")[0] for html in (cat, coffee)]
    assert classes[0] != classes[1]


def test_every_depth_has_its_url_and_breadcrumb():
    for at in ("b.stages.1", "b.stages.1.blocks.0", PART, f"{PART}/5", f"{PART}/5/3,3"):
        html = view(opened(at=at))
        assert 'aria-current="page"' in html
        assert 'data-go=""' in html  # the way back
    assert 'data-at="3,3"' in html
    assert 'class="result"' in html


def test_every_part_opens():
    app = opened(a="fewer_norms")
    for path in tree(pocket("fewer_norms").config, 64):
        for more in ("", "/0", "/0/1,1"):
            app.query_params["at"] = f"a.{path}{more}"
            assert pages.checked(app.run())
            assert ('class="result"' in view(app)) == (more == "/0/1,1"), path


@pytest.mark.parametrize(
    "parameters",
    [{"a": "<x>"}, {"b": "pool"}, {"at": "a.nothing"}, {"at": "<b>"}, {"picture": "dog"}],
)
def test_a_wrong_url_gets_a_sentence(parameters):
    app = opened(**parameters)
    assert 'class="notice"' in pages.html(app)
    assert "<b>" not in pages.html(app).split('class="notice"')[1]
    assert view(app)


def test_steps_link_to_the_page():
    assert "a=kernel_7&amp;b=gelu" in picture_link(RESNET50, "gelu")
    assert "a=baseline" in picture_link(RESNET50, "baseline")
    own = [key for key in RESNET50.keys if "Run it on a picture" in picture_link(RESNET50, key)]
    assert set(own) == set(shipped())


@pytest.mark.parametrize(
    ("roadmap", "step", "near"),
    [
        ("resnet50", "kernel_11", "kernel_7"),
        ("resnet50", "no_layer_scale", "separate_downsampling"),
        ("resnet200", "gelu", "gelu"),
        ("torchvision_recipe", "ema", "baseline"),
    ],
)
def test_other_steps_link_to_the_nearest_trained_network(roadmap, step, near):
    found = picture_link(ROADMAPS[roadmap], step)
    assert f'={near}" target' in found
    assert f"on a picture: {RESNET50.step(near).title}<" in found


def test_the_pages_of_a_step_have_the_link():
    assert "picture?a=" in pages.html(pages.opened("inside", step="gelu"))
    assert "picture?a=" in pages.html(pages.opened("roadmap", step="gelu"))


def test_an_own_picture_is_refused_with_a_sentence_or_shown():
    app = opened()
    app.file_uploader(key="picture-upload").upload("x.png", b"no picture", "image/png")
    app.run()
    assert "x.png" in pages.html(app)
    data = (RESULTS / "pictures" / "cat.jpg").read_bytes()
    app.file_uploader(key="picture-upload").upload("my.jpg", data, "image/jpeg")
    app.run()
    assert address(app)["picture"] == "own"
    assert 'alt="Your picture"' in view(app)
