"""The page of recipes, run by Streamlit's own test harness."""

from __future__ import annotations

import base64
import io
import re
from dataclasses import dataclass
from functools import partial

import numpy as np
import pages
import pytest
from pages import checked, html
from PIL import Image
from streamlit.testing.v1 import AppTest

from roadmap.recipes import FIELDS, RECIPES
from roadmap.train.data.images import decode, shrink
from roadmap.views.common import pictures
from roadmap.views.recipes import text as recipe_text
from roadmap.views.recipes.page import METHODS, PARTS

opened = partial(pages.opened, "recipes")


def images(app: AppTest) -> list[np.ndarray]:
    """The pictures of the page, before and after in turn."""
    codes = [part.split('"')[0] for part in html(app).split("base64,")[1:]]
    return [np.asarray(Image.open(io.BytesIO(base64.b64decode(code)))) for code in codes]


@pytest.mark.parametrize("part", PARTS)
def test_every_part_stands(part):
    app = opened(part=part)
    assert 'class="notice"' not in html(app)
    assert all(chart.proto.alt for chart in app.get("plotly_chart"))


def test_fields_that_differ_are_marked():
    page = html(opened(base="convnext"))
    rows = {row.split('scope="row">')[1].split("<")[0]: row for row in page.split("<tr>")[4:]}
    assert rows["Optimizer"].count("Δ") == 3
    assert rows["Test size, px"].count("Δ") == 0
    assert "AdamW" in rows["Optimizer"]


def test_every_field_of_a_recipe_is_in_the_table():
    shown = re.findall(r'scope="row">([^<]*)<', html(opened()))
    assert shown[2:] == [text.title for text in FIELDS.values()]


@pytest.mark.parametrize(
    ("policy", "words"),
    [
        ("rand-m9-mstd0.5-inc1", "RandAugment, magnitude 9"),
        ("rand-mstd0.5-m9", "RandAugment, magnitude 9"),  # timm takes the parts in any order
        ("rand-n3", "RandAugment, magnitude 10"),  # timm's default
        ("trivial", "TrivialAugmentWide"),
        ("none", "none"),
        ("rand-x9", "rand-x9"),  # of no policy
    ],
)
def test_a_policy_is_told_as_training_reads_it(policy, words):
    recipe = RECIPES["convnext"].replace(auto_augment=policy)
    assert recipe_text.value(recipe, "auto_augment") == words


def test_a_value_a_recipe_has_no_use_for_is_a_dash():
    assert recipe_text.value(RECIPES["convnext"], "momentum") == "–"
    assert recipe_text.value(RECIPES["resnet_standard"], "momentum") == "0.9"
    assert recipe_text.value(RECIPES["resnet_torchvision"], "weight_decay") == "0.00002"
    assert recipe_text.value(RECIPES["convnext"], "layer_scale") == "10⁻⁶"


@pytest.mark.parametrize("method", METHODS)
def test_pictures_before_and_after(method):
    app = opened(part="pictures", method=method)
    shown = images(app)
    before, after = shown[::2], shown[1::2]
    assert len(before) == len(after) == len(pictures.CROPS)
    assert any(np.abs(b - a.astype(int)).mean() > 5 for b, a in zip(before, after, strict=True))
    assert html(app).count(" alt=") == len(shown)
    assert "danielbuechele" in html(app)
    assert "vultilion" in html(app)


def test_strength_and_seed_change_what_is_drawn():
    app = opened(part="pictures", method="mixup")
    first = html(app)
    app.button[0].click()
    assert html(checked(app.run())) != first
    app.number_input(key="recipes-seed").set_value(0)
    assert html(checked(app.run())) == first  # the same seed, the same pictures
    app.slider(key="recipes-strength-mixup").set_value(0.1)
    assert html(checked(app.run())) != first


@pytest.mark.parametrize(
    "parameters",
    [
        {"part": "<script>alert(1)</script>"},
        {"base": "x" * 50_000},
        {"part": "pictures", "method": "\x00"},
        {"part": "rate", "rate": "fast"},
    ],
)
def test_whatever_the_url_says_there_is_one_message_and_a_page(parameters):
    app = opened(**parameters)
    assert html(app).count('class="notice"') == 1
    assert "<script>alert" not in html(app)


# Pictures of the reader's own


@dataclass
class File:
    name: str
    content: bytes
    size: int = 0

    def getvalue(self) -> bytes:
        return self.content


def png(height: int, width: int) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (width, height), (200, 30, 30)).save(file, "PNG")
    return file.getvalue()


def test_good_files_are_read_and_bad_ones_answered():
    bomb = png(1, 1).replace(
        b"\x00\x00\x00\x01\x00\x00\x00\x01", b"\x00\x01\x00\x00\x00\x01\x00\x00", 1
    )
    files = [
        File("good.png", png(900, 1200)),
        File("broken.jpg", b"\xff\xd8 and no more"),
        File("text.png", b"hello"),
        File("large.jpg", b"", size=pictures.MOST_BYTES + 1),
        File("bomb.png", bomb),
    ]
    read, problems = pictures.read(files)
    assert [name for _, name in read] == ["good.png"]
    assert max(read[0][0].shape) == pictures.LONGEST
    assert [problem.split(" ")[0].rstrip(":") for problem in problems] == [
        file.name for file in files[1:]
    ]
    assert "10 MB" in problems[2]


@pytest.mark.parametrize(
    ("mode", "form"), [("RGB", "JPEG"), ("RGB", "PNG"), ("RGBA", "PNG"), ("L", "PNG"), ("P", "PNG")]
)
def test_large_pictures_are_scaled_down_before_they_are_converted(mode, form):
    small = np.random.default_rng(0).integers(0, 256, (8, 12, 4), dtype=np.uint8)
    whole = Image.fromarray(small, "RGBA").resize((1600, 1100), Image.Resampling.BILINEAR)
    file = io.BytesIO()
    whole.convert("RGB").convert(mode).save(file, form) if mode != "RGBA" else whole.save(
        file, form
    )
    ((picture, _),), _ = pictures.read([File("a", file.getvalue())])
    assert picture.shape == (352, 512, 3)
    wanted = shrink(decode(file.getvalue(), "a"), 512)
    assert np.abs(picture.astype(int) - wanted).mean() < 2


def test_pictures_have_no_more_pixels_than_are_decoded_within_the_memory():
    many = io.BytesIO()
    Image.new("1", (5000, 4000)).save(many, "PNG")
    read, (problem,) = pictures.read([File("many.png", many.getvalue())])
    assert problem == "many.png has 20 million pixels: use at most 16."
    many = io.BytesIO()
    Image.new("L", (5000, 4000)).save(many, "JPEG")
    assert len(pictures.read([File("many.jpg", many.getvalue())])[0]) == 1
    assert read == []


def test_a_picture_is_decoded_once(monkeypatch):
    file = File("a.png", png(90, 120))
    file.file_id = "1"
    kept = {"0": np.zeros((1, 1, 3), np.uint8)}
    first, _ = pictures.read([file], kept)
    assert list(kept) == ["1"]
    monkeypatch.setattr(pictures, "_read", None)
    assert pictures.read([file], kept)[0][0][0] is first[0][0]


def test_at_most_eight_and_always_an_even_number():
    files = [File(f"{place}.png", png(20, 30)) for place in range(11)]
    read, (problem,) = pictures.read(files)
    assert len(read) == 8
    assert problem.startswith("You uploaded 11 pictures")
    assert [len(pictures.paired(read[:count])) for count in (1, 2, 3)] == [2, 2, 4]
