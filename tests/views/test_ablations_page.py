"""The page of ablations, run by Streamlit's own test harness on runs that nobody trained."""

from __future__ import annotations

import json
import os
import re
import time
from functools import partial

import pages
import pytest
from fake_runs import FIRST_STEPS, damaged, write_ablation, write_run
from pages import address, checked, html

from roadmap.charts.curves import MEASURES
from roadmap.steps import ROADMAPS
from roadmap.views.common import all_runs

opened = partial(pages.opened, "ablations")
SCORES = FIRST_STEPS | {"patchify_stem": (60.1,)}


@pytest.fixture
def trained(root):
    write_ablation(root, SCORES)
    return root


def alts(app):
    return [chart.proto.alt for chart in app.get("plotly_chart")]


def runs_table(app):
    return app.dataframe[0].value


@pytest.mark.usefixtures("root")
def test_without_runs_it_says_how_to_make_some():
    app = opened()
    assert "No runs yet" in html(app)
    assert "python -m roadmap sweep" in html(app)
    assert "on the page Training" in html(app)
    assert not app.get("plotly_chart")


def test_digits_and_small_sets_have_their_caution_above_their_chart_and_large_ones_none(trained):
    scores = {"baseline": (90.0, 91.0), "training": (91.0, 92.0)}
    write_ablation(trained, scores, data="digits")
    write_ablation(trained, scores, data="large", train_images=100_000)
    recipes = {"baseline": (90.0, 91.0), "lr_optimizations": (91.0, 92.0)}
    write_ablation(trained, recipes, roadmap="torchvision_recipe")
    digits, small = "Digits cannot rank the steps", "A small data set cannot give ImageNet"
    for data, roadmap, cautions in (
        ("digits", "resnet50", (1, 0)),
        ("tiny", "resnet50", (0, 1)),
        ("large", "resnet50", (0, 0)),
        ("tiny", "torchvision_recipe", (0, 0)),
    ):
        page = html(opened(data=data, roadmap=roadmap))
        assert (page.count(digits), page.count(small)) == cautions


def test_runs_of_other_data_in_the_folder_are_left_out_with_a_note(trained):
    folder = write_run(trained, "baseline", 7, 10.0)
    content = json.loads((folder / "run.json").read_text())
    content["data"]["name"] = "<digits>"
    (folder / "run.json").write_text(json.dumps(content))
    app = opened()
    assert "because their data is not tiny: 1 on &lt;digits&gt;." in html(app)
    _, curves_alt = alts(app)
    assert "ResNet 69.07" in curves_alt


def test_a_name_that_a_spreadsheet_would_run_is_text_in_the_tables_csv(root):
    write_run(root, data="=1+1")
    assert list(runs_table(opened())["data"]) == ["'=1+1"]


@pytest.mark.usefixtures("trained")
def test_what_the_runs_say_in_figures_and_words():
    app = opened()
    page = html(app)
    assert 'class="notice"' not in page
    assert "Of 2 changes tested, 1 is a gain" in page
    assert "Gain</td>" in page
    assert "The standard deviation between seeds of one step is" in page
    assert re.search(r"Inconclusive; (about|more than) \d+ seeds needed", page)
    assert "Untested; needs two seeds of both steps" in page
    assert "Start of the roadmap</td>" in page
    changes_alt, curves_alt = alts(app)
    assert ", gain" in changes_alt
    assert ">76.13<" in page
    assert curves_alt.startswith("Line chart of Validation top-1")
    assert len(runs_table(app)) == 10


@pytest.mark.usefixtures("trained")
def test_the_first_figure_is_what_each_change_brought_under_one_sentence():
    app = opened()
    sentence = html(app).split('class="lead finding">')[1].split("</p>")[0]
    assert sentence.startswith("Of 2 changes tested")
    assert ". " not in sentence
    assert alts(app)[0].startswith("Chart of changes in top-1")
    figure = json.loads(app.get("plotly_chart")[0].proto.spec)
    changes = [trace["x"][0] for trace in figure["data"] if trace.get("mode") == "markers"]
    assert changes[0] == pytest.approx(72.0767 - 69.0667, abs=1e-3)


INTERVALS = ("with 95% intervals", "The band spans")


@pytest.mark.parametrize("seeds", [1, 2])
def test_intervals_and_bands_are_explained_where_there_are_any(root, seeds):
    write_ablation(root, {step: scores[:seeds] for step, scores in SCORES.items()})
    page = html(opened())
    assert [words in page for words in INTERVALS] == [seeds > 1] * len(INTERVALS)


@pytest.mark.parametrize("measure", MEASURES)
@pytest.mark.parametrize("lines", ["mean", "seeds"])
@pytest.mark.usefixtures("trained")
def test_every_curve_by_seed_and_as_mean(measure, lines):
    app = opened(curve=measure, lines=lines)
    figure = app.get("plotly_chart")[1].proto.spec
    assert MEASURES[measure].axis in alts(app)[1]
    assert ("seed 2" in figure) == (lines == "seeds")


@pytest.mark.usefixtures("trained")
def test_choosing_curves_goes_into_the_url():
    app = opened()
    app.segmented_control(key="ablations-curve").set_value("lr")
    app.segmented_control(key="ablations-lines").set_value("seeds")
    checked(app.run())
    assert address(app) == {"curve": "lr", "lines": "seeds"}
    app.multiselect(key="ablations-steps-resnet50").set_value([])
    assert "Choose a step" in html(checked(app.run()))


def test_data_and_roadmap_are_chosen(trained):
    write_run(trained, "baseline", 0, 50.0, roadmap="torchvision_recipe", data="other")
    app = opened()
    app.selectbox(key="ablations-data").set_value("other")
    checked(app.run())
    assert address(app)["data"] == "other"
    assert "The best of 1 trained step on other" in html(app)
    assert app.selectbox(key="ablations-roadmap").value == "torchvision_recipe"


def test_pocket_runs_do_not_take_the_place_of_full_ones(root):
    write_ablation(root, {"baseline": (50.0, 51.0)}, data="larger")
    write_ablation(root, {"baseline": (50.0, 51.0, 52.0)}, data="largest")
    write_ablation(root, {"baseline": [90.0] * 4}, data="small", scale="pocket")
    write_ablation(root, {"baseline": [90.0] * 5}, data="smaller", scale="pocket")
    write_ablation(root, {"baseline": [50.0] * 6}, data="begun", done=1)
    options = opened().selectbox(key="ablations-data").options
    assert options == ["largest", "larger", "smaller", "small", "begun"]


@pytest.mark.usefixtures("trained")
def test_a_roadmap_without_finished_runs_says_so():
    app = opened(roadmap="resnet200")
    assert "on this data has finished yet" in html(app)
    assert len(runs_table(app)) == 10


def test_runs_that_cannot_be_compared_are_answered(trained):
    write_run(trained, "gelu", 0, 60.0, epochs=5)
    page = html(opened())
    assert "These runs cannot be analyzed: runs with different settings" in page


def test_the_table_filters(trained):
    write_run(trained, "gelu", 1, 60.0, done=1, status="failed", reason="the disk is full")
    app = opened()
    app.multiselect(key="ablations-filter-status").set_value(["failed"])
    table = runs_table(checked(app.run()))
    assert list(table["reason"]) == ["the disk is full"]
    app.multiselect(key="ablations-filter-step").set_value(["ResNet"])
    assert runs_table(checked(app.run())).empty


def test_broken_folders_are_listed_and_nothing_breaks(trained):
    for name, content in (
        ("cut", '{"status": "fin'),
        ("list", "[]"),
        ("deep", "[" * 100_000),
        ("<img src=x>", "{}"),
        ("bytes", "\ud800"),
    ):
        (trained / "tiny" / name).mkdir()
        (trained / "tiny" / name / "run.json").write_text(content, errors="surrogatepass")
    half = write_run(trained, "gelu", 0, 60.0)
    (half / "metrics.csv").write_text((half / "metrics.csv").read_text()[:-20])
    page = html(opened())
    assert "6 folders left out" in page
    assert "it may be truncated" in page
    assert "<img src=x" not in page
    assert "&lt;img src=x&gt;" in page


def test_whatever_a_record_holds_the_page_shows_the_rest(trained):
    """Every field with every wrong value, as one folder each; the page lists some of them."""
    data = trained / "tiny"
    content = json.loads((data / "resnet50-training-seed0" / "run.json").read_text())
    metrics = (data / "resnet50-training-seed0" / "metrics.csv").read_bytes()
    for number, (_, changed) in enumerate(damaged(content)):
        folder = data / f"damaged-{number:04d}"
        folder.mkdir()
        (folder / "run.json").write_text(json.dumps(changed))
        (folder / "metrics.csv").write_bytes(metrics)
    os.mkfifo(data / "pipe") if hasattr(os, "mkfifo") else None
    (data / os.fsdecode(b"not-\xff-unicode")).mkdir()
    app = checked(opened())
    shown = html(app)
    assert "Folders that cannot be read" in shown
    assert "resnet50-training-seed0" in set(runs_table(app)["run"])
    assert "<script>alert" not in shown


def test_only_broken_folders(root):
    (root / "tiny" / "empty").mkdir(parents=True)
    page = html(opened())
    assert "No runs yet" in page
    assert "There is no run.json." in page


def test_names_from_files_are_no_tags(root):
    write_ablation(root, SCORES, data="<b>bold<b>")
    write_run(root, "gelu", 7, 60.0, data="<b>bold<b>", done=1, device="<img src=x>")
    app = opened()
    assert "<b>bold" not in html(app)
    assert "<b>bold" not in app.get("plotly_chart")[0].proto.spec


@pytest.mark.parametrize(
    "parameters",
    [
        {"data": "<script>alert(1)</script>"},
        {"roadmap": "x" * 50_000},
        {"curve": "\x00"},
        {"lines": "../../etc"},
    ],
)
@pytest.mark.usefixtures("trained")
def test_whatever_the_url_says_there_is_one_message_and_a_page(parameters):
    app = opened(**parameters)
    assert html(app).count('class="notice"') == 1
    assert "<script>alert" not in html(app)
    assert len(alts(app)) == 2


def test_a_new_run_appears(trained):
    app = opened()
    write_run(trained, "gelu", 0, 60.0)
    time.sleep(all_runs.FRESH)
    assert len(runs_table(checked(app.run()))) == 11


def test_runs_of_every_step_and_many_seeds_are_listed_and_filtered(root):
    """How fast a thousand are is for benchmarks/runs.py to say."""
    keys = ROADMAPS["resnet50"].keys
    for seed in range(4):
        for place, key in enumerate(keys):
            write_run(root, key, seed, 60 + place + seed / 100, epochs=3)
    write_run(root, keys[0], 4, 60.0, epochs=3, done=1)
    app = opened()
    assert len(runs_table(app)) == 4 * len(keys) + 1
    app.multiselect(key="ablations-filter-status").set_value(["finished"])
    assert len(runs_table(checked(app.run()))) == 4 * len(keys)
