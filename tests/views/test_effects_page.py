"""The page of effects, run by Streamlit's own test harness on made runs of a committed design."""

from __future__ import annotations

import re
import shutil
from dataclasses import replace
from functools import partial

import numpy as np
import pages
import pytest
from pages import address, checked, html
from studies import made_run, made_runs, save_runs
from typer.testing import CliRunner

from models.config import ModelConfig
from roadmap.cli import app as command_line
from roadmap.report.text import signed
from roadmap.runs import read_runs
from roadmap.runs.folders import RUNS_VARIABLE
from roadmap.study.design import DESIGNS, Point, read_design
from roadmap.study.effects import Effects, EffectSettings
from roadmap.study.experiment import open_experiment
from roadmap.study.model import all_terms
from roadmap.study.terms import CROSSED
from roadmap.views.common import builder_address, experiments

opened = partial(pages.opened, "effects")
DATA = "made"


@pytest.fixture(scope="module")
def design():
    return read_design(DESIGNS / "digits.json")


@pytest.fixture(scope="module")
def folder(design, tmp_path_factory):
    root = tmp_path_factory.mktemp("runs")
    names = all_terms(design).names
    coefficients = np.random.default_rng(4).normal(0, 0.6, len(names))
    coefficients[0] = 10
    coefficients[names.index("lr²")] = -2
    save_runs(root, design, made_runs(design, coefficients, 0.5, data=DATA))
    return root


@pytest.fixture
def root(folder, monkeypatch):
    monkeypatch.setenv(RUNS_VARIABLE, str(folder))
    return folder


@pytest.fixture
def experiment(design, root):
    return open_experiment(design, read_runs(root).points)


def charts(app):
    return {chart.proto.id.split("chart-")[-1]: chart for chart in app.get("plotly_chart")}


def alt(app, start):
    return next(c.proto.alt for c in app.get("plotly_chart") if c.proto.alt.startswith(start))


def test_without_runs_it_says_how_to_make_some(tmp_path, monkeypatch):
    monkeypatch.setenv(RUNS_VARIABLE, str(tmp_path))
    app = opened()
    assert "No designed experiment has enough finished runs yet" in html(app)
    assert "roadmap sweep --design" in html(app)
    assert not app.get("plotly_chart")


def test_too_few_runs_say_how_many_are_needed(design, tmp_path, monkeypatch):
    monkeypatch.setenv(RUNS_VARIABLE, str(tmp_path))
    coefficients = np.full(len(all_terms(design).names), 0.1)
    coefficients[0] = 10
    few = type(design)(name=design.name, space=design.space, points=design.points[:8])
    made = made_runs(few, coefficients[: len(all_terms(few).names)], 0.5, data=DATA)
    save_runs(tmp_path, few, made)
    assert re.search(
        r"runs of the design digits have finished and learned; at least \d+", html(opened())
    )


@pytest.mark.parametrize(
    ("url", "view"),
    [("place", "in place"), ("alone", "alone"), ("orders", "all orders"), ("rate", "own rate")],
)
def test_the_chart_has_the_values_of_the_view(experiment, url, view):
    app = opened(view=url)
    said = alt(app, "Effect of each change in points of top-1")
    compared = html(app).split(" Compared with ")[1].split("</p>")[0]
    assert ("learning rate 0.003" in compared) is (url != "rate")
    for worth in Effects(experiment.model).worth(view):
        if worth.effect is None:
            assert f"{worth.change.title}: not possible alone" in said
        else:
            assert f"{worth.change.title} {signed(worth.effect.points, 2)} points" in said


def test_the_sliders_move_the_bars_and_stand_in_the_url(experiment):
    app = opened()
    before = alt(app, "Effect of each change")
    app.select_slider(key="effects-lr").set_value("0.001")
    checked(app.run())
    assert address(app)["lr"] == "0.001"
    assert alt(app, "Effect of each change") != before
    effects = Effects(experiment.model, EffectSettings({}, 0.001, 20))
    first = effects.worth("in place")[0]
    assert f"{first.change.title} {signed(first.effect.points, 2)} points" in alt(
        app, "Effect of each change"
    )


@pytest.mark.usefixtures("root")
def test_one_sentence_says_it_all_for_what_is_set():
    assert 'class="finding">On made, ' in html(opened())
    assert "PyTorch&#x27;s initialization" in html(opened())
    assert "truncated normal 0.02 initialization" in html(opened(init="trunc_normal"))


def test_interactions_with_settings_and_the_strongest_others_are_tables(experiment):
    body = html(opened())
    found = Effects(experiment.model).interactions()
    crossed = [one for one in found if one.second.name in CROSSED and one.first.name not in CROSSED]
    others = [one for one in found if one not in crossed]
    for one in (*crossed, *others[:8]):
        assert signed(one.effect.points, 1) in body
    named = [f"{one.first.title} with {one.second.title}" in body for one in others]
    assert named == [True] * 8 + [False] * (len(others) - 8)
    assert 'class="heat"' in body


@pytest.mark.parametrize(
    ("parameter", "value", "said"),
    [
        ("lr", "7", "The URL parameter lr is &#x27;7&#x27;"),
        ("epochs", "1000", "The URL parameter epochs is"),
        ("init", "kaiming", "The URL parameter init is &#x27;kaiming&#x27;"),
        ("view", "best", "The URL parameter view is &#x27;best&#x27;"),
        ("data", "nowhere", "The URL parameter data is &#x27;nowhere&#x27;"),
        ("cost", "weight", "The URL parameter cost is"),
        ("at", "999999", "at must be a whole number from 0 to"),
        ("at", "-1", "at must be a whole number from 0 to"),
        ("order", "gelu", "does not name each of these changes once"),
        ("order", "x," * 5000, "does not name each of these changes once"),
    ],
)
@pytest.mark.usefixtures("root")
def test_a_wrong_url_is_said_and_the_usual_shown(parameter, value, said):
    app = opened(**{parameter: value})
    assert said in html(app)
    assert alt(app, "Effect of each change")


def test_an_order_of_ones_own_makes_a_path(experiment):
    app = opened()
    usual = [change.name for change in Effects(experiment.model).changes]
    app.button(key="order-up-1").click()
    checked(app.run())
    swapped = [usual[1], usual[0], *usual[2:]]
    assert address(app)["order"] == ",".join(swapped)
    effects = Effects(experiment.model)
    second = effects.predicted(effects.path(swapped)[1]).top1
    titles = {change.name: change.title for change in effects.changes}
    assert f"{titles[usual[1]]} {second:.1f}%" in alt(app, "Predicted top-1 after each change")
    app.button(key="order-reset").click()
    checked(app.run())
    assert address(app)["order"] == ",".join(usual)


def test_an_order_that_makes_no_network_says_which_change_must_come_first(experiment):
    usual = [change.name for change in Effects(experiment.model).changes]
    wrong = ["move_up_depthwise", *(name for name in usual if name != "move_up_depthwise")]
    body = html(opened(order=",".join(wrong)))
    assert "Move up depthwise cannot come here" in body
    assert "set depthwise to true" in body


def test_the_map_opens_what_was_clicked_in_the_builder(experiment):
    app = opened(at="100")
    body = html(app)
    link = re.search(r'href="builder\?a=([^"]+)"', body).group(1)
    from urllib.parse import unquote

    found = builder_address.parse_chosen(unquote(link)).config
    from roadmap.study.atlas import atlas

    levels = atlas(Effects(experiment.model)).levels[100]
    expected: ModelConfig = experiment.design.space.network(levels)
    assert found == expected.replace(stochastic_depth=0.0)


@pytest.mark.usefixtures("root")
def test_the_map_also_shows_training_time():
    app = opened(cost="minutes", epochs="20")
    assert not app.exception
    body = html(app)
    assert "Minutes are for 20 epochs of" in body
    assert re.search(r"million parameters, [\d.]+ minutes", body)


@pytest.mark.usefixtures("root")
def test_it_says_what_it_rests_on():
    body = html(opened())
    assert "Fitted to 72 of 72 runs on made" in body
    assert "On 12 held-out runs" in body
    assert "84 of the design&#x27;s 84 runs have finished" in body
    assert "predictions for one run" in body


def test_confirmation_runs_stand_beside_their_predictions(design, folder, tmp_path, monkeypatch):
    """Two seeds of one of the study's combinations, as another design's confirmation."""
    shutil.copytree(folder, tmp_path / "runs")
    seeds = (0, 1)
    levels = design.points[0].levels
    points = tuple(Point(key=f"s{s}", role="confirmation", levels=levels, seed=s) for s in seeds)
    more = replace(design, name="more", points=points)
    made = [made_run(more, points[0], 51.5, data=DATA), made_run(more, points[1], 3.5, data=DATA)]
    save_runs(tmp_path / "runs", more, made)
    monkeypatch.setenv(RUNS_VARIABLE, str(tmp_path / "runs"))
    assert "confirmation" not in html(opened())
    monkeypatch.setattr(experiments, "_designs", lambda: (design, more))
    app = opened()
    model = open_experiment(design, read_runs(tmp_path / "runs").points).model
    top1, low, high = model.predict(model.terms.of([levels]))[0]
    body = html(app)
    assert "51.5, 3.5" in body
    assert f"{top1:.1f}" in body
    assert f"{low:.1f} to {high:.1f}" in body
    inside = sum(low <= score <= high for score in (51.5, 3.5))
    assert f"{inside} of 2" in body
    assert f"Of 2 confirmation runs, none of them fitted, {inside} (" in body


# -- where else predictions appear -------------------------------------------------------------


def test_the_builder_predicts_what_the_experiment_covers(experiment):
    config = experiment.design.space.network(experiment.design.points[3].levels)
    config = config.replace(stochastic_depth=0.0)
    chosen = builder_address.Chosen(builder_address.StartingPoint("resnet50", "training"), config)
    body = html(pages.opened("builder", a=builder_address.format_chosen(chosen)))
    effects = Effects(experiment.model)
    levels = experiment.design.space.levels_of(config)
    shown = {name: levels[name] for name in levels if name not in ("lr", "epochs")}
    levels = effects.start | shown
    top1 = effects.predicted(levels, effects.best_rate(levels)).top1
    assert f"made: {top1:.1f}% top-1, " in body


@pytest.mark.parametrize("init", ["default", "trunc_normal"])
def test_predict_states_the_settings_of_the_network(root, init):
    words = ["predict", "--data", DATA, "--runs", str(root), "--level", f"init={init}"]
    said = CliRunner().invoke(command_line, words).stdout
    assert ("PyTorch's initialization" in said) is (init == "default")
    assert ("truncated normal 0.02 initialization" in said) is (init == "trunc_normal")


@pytest.mark.usefixtures("root")
def test_the_builder_says_what_is_not_covered():
    body = html(pages.opened("builder", a="resnet50.gelu"))
    assert "Not covered by the experiment on made: it trained pocket networks" in body
    assert "no run was planned with depths (3, 3, 9, 3), width 96." in body


def test_the_report_has_the_effects(root, tmp_path):
    from fake_runs import write_run
    from typer.testing import CliRunner

    from roadmap.cli import app

    for seed in (0, 1):
        for step in ("training", "stage_ratio"):
            write_run(root, step, seed, 60.0 + seed, data=DATA)
    page = tmp_path / "report.html"
    words = ["report", "--data", DATA, "--runs", str(root), "--output", str(page)]
    found = CliRunner().invoke(app, words)
    assert found.exit_code == 0, found.output
    text = page.read_text()
    assert "Value of each change" in text
    assert "Fitted to 72 of 72 runs on made" in text
