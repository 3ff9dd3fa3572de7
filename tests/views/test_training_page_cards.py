"""The cards of runs on the page of training, on runs that nobody trained."""

from __future__ import annotations

import json
import math
import re
import shutil
import time
from dataclasses import replace
from functools import partial
from statistics import fmean

import pages
import pytest
from fake_runs import write_run
from pages import html

from roadmap import visitors
from roadmap.analysis.ablation import analyse
from roadmap.analysis.narrowing import narrowing_of_runs
from roadmap.runs import reader
from roadmap.runs.live import LIVE as LIVE_FILE
from roadmap.runs.live import Live, write_live
from roadmap.tables.results import RESULTS
from roadmap.views.common import all_runs
from roadmap.views.training import shown

opened = partial(pages.opened, "training")


def test_a_run_that_fine_tunes_or_is_of_a_design_has_a_card_while_it_runs(root, monkeypatch):
    monkeypatch.setattr(reader, "is_locked", lambda _: True)
    assert "run-head" not in html(opened())
    start = {"weights": "mine.safetensors", "sha256": "0" * 64, "head": "new"}
    start |= {"network": "resnet50:gelu of width 16", "layer_decay": 0.75, "frozen_stages": 0}
    point = {"design": "small", "key": "007", "role": "fit", "levels": {}}
    for seed, more in enumerate(({"start": start}, {"point": point}, {})):
        write_run(root, "gelu", seed, data="digits-30-epochs", done=1, **more)
    time.sleep(all_runs.FRESH)
    page = html(opened())
    for title in ("ReLU to GELU, fine-tuned", "Run 007 of design small", "ReLU to GELU"):
        assert f'<h3 class="subsection">{title}, seed' in page
    assert page.count("Digits, 30 epochs, 10,000 validation images</p>") == 3
    assert page.count("</i>Training</span>") == 3


LIVE = Live(
    step=147,
    steps=294,
    steps_per_epoch=98,
    loss=2.5,
    images_per_s=1234.0,
    seconds_left=125.0,
    points=((54, 3.5), (85, 3.0), (116, 2.75), (147, 2.5)),
)


@pytest.fixture
def training(root, monkeypatch):
    """A run in progress, after its first epoch of three; its step has two earlier seeds, the step
    before has three."""
    monkeypatch.setattr(reader, "is_locked", lambda _: True)
    for seed, top1 in enumerate((60.0, 61.0, 62.0)):
        write_run(root, "training", seed, top1)
    for seed, top1 in enumerate((64.0, 65.0)):
        write_run(root, "stage_ratio", seed, top1)
    folder = write_run(root, "stage_ratio", 2, 66.0, done=1)
    write_live(folder, LIVE)
    return folder


def charts(app) -> list[str]:
    """The HTML of each chart: loss and top-1 of each card."""
    drawn = "".join(each.value for each in app.markdown)
    return drawn.split("<figure")[1:]


def lines(chart: str) -> list[tuple[str, int]]:
    """The role of each line, and its number of points, from back to front."""
    found = re.findall(r'<polyline class="(\w+)" points="([^"]*)"', chart)
    return [(role, len(points.split())) for role, points in found]


@pytest.mark.usefixtures("training")
def test_a_card_has_the_figures_of_now_over_earlier_seeds_and_the_step_before():
    app = opened()
    page = html(app)
    for name, value in {
        "Epoch": "2 of 3",
        "Training loss": "2.500",
        "Images/s": "1,234",
        "Time left": "2 min",
    }.items():
        assert f"<dt>{name}</dt><dd>{value}</dd>" in page
    assert 'aria-valuenow="50"' in page
    loss, top1 = charts(app)
    others = [*[("before", 3)] * 3, *[("earlier", 3)] * 2]
    assert lines(loss) == [*others, ("now", 4)]
    assert lines(top1) == [*others, ("now", 2)]
    for chart in (loss, top1):
        for text in ("2 other seeds: mean ", "Modern training recipe, 3 seeds: mean "):
            assert text in chart
    middle = (1 - math.exp(-10 / 3)) / (1 - math.exp(-5))  # of the scores, after epoch 2 of 3
    earlier, before = (f"mean {5 - score * middle / 25:.3f}" for score in (64.5, 61))
    assert (
        f"Epoch 1.5<br>Seed 2: 2.500<br>2 other seeds: {earlier}<br>"
        f"Modern training recipe, 3 seeds: {before}</span>"
    ) in loss
    assert "At the last epoch: Stage ratio, seed 0 2.440; Stage ratio, seed 1 2.400; " in loss
    assert "At the last epoch: Stage ratio, seed 0 64.00; Stage ratio, seed 1 65.00; " in top1


@pytest.mark.parametrize(
    ("part", "name", "value"), [("data", "sha256", "1" * 64), ("recipe", "epochs", 30)]
)
def test_runs_with_other_data_or_settings_are_not_compared(training, part, name, value):
    content = json.loads((training / "run.json").read_text())
    content[part][name] = value
    (training / "run.json").write_text(json.dumps(content))
    app = opened()
    assert [lines(chart) for chart in charts(app)] == [[("now", 4)], [("now", 2)]]
    assert "No verdict yet" in html(app)


def test_the_speed_of_short_epochs_is_that_of_whole_ones(training):
    """Within them, a figure may be of the first step alone, which is slow."""
    write_live(training, replace(LIVE, points=((98, 3.0), (147, 2.5), (196, 2.4))))
    assert "<dt>Images/s</dt><dd>1,234</dd>" not in html(opened())


def test_the_interval_narrows_as_seeds_finish_and_ends_as_on_the_page_ablations(training):
    assert html(opened()).count('class="estimate ') == 2  # two seeds of both; two and three
    shutil.rmtree(training)
    write_run(training.parents[1], "stage_ratio", 2, 66.0)
    runs = reader.read_runs(training.parents[1]).runs
    found = narrowing_of_runs(runs, "tiny", "resnet50", "stage_ratio")
    widths = [one.change.interval.high - one.change.interval.low for one in found]
    assert [one.seeds for one in found] == [2, 3]
    assert widths[1] < widths[0]
    results = {one.step.key: one for one in analyse(runs, "tiny", "resnet50").steps}
    assert found[-1].change == results["stage_ratio"].change


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"points": [[1, "x"]]}', "9" * 5000])
def test_damaged_live_figures_are_left_out(training, content):
    (training / LIVE_FILE).write_text(content)
    page = html(opened())
    assert "<dt>Epoch</dt><dd>1 of 3</dd>" in page
    assert "<dt>Time left</dt><dd>–</dd>" in page


def test_a_log_shows_its_last_lines_as_text(training):
    lines = [f"epoch {number}: <b>loss</b>" for number in range(40)]
    (training / "train.log").write_text("\n".join(lines) + "\n")
    page = html(opened())
    assert "epoch 30: &lt;b&gt;loss&lt;/b&gt;\n" in page
    assert "epoch 29" not in page


def test_a_card_of_the_digits_has_the_caution_above_its_charts(root, monkeypatch):
    monkeypatch.setattr(reader, "is_locked", lambda _: True)
    write_run(root, "gelu", 0, data="digits", done=1)
    page = html(opened())
    assert page.index("Digits cannot rank the steps") < page.index("run-head")


def test_a_card_of_a_small_set_has_the_caution_and_others_do_not(root, monkeypatch):
    monkeypatch.setattr(reader, "is_locked", lambda _: True)
    caution = "A small data set cannot give ImageNet"
    folder = write_run(root, "gelu", 0, done=1)
    write_run(root, "gelu", 1, done=1)
    page = html(opened())
    assert page.count(caution) == 1
    assert page.index(caution) < page.index("run-head")
    shutil.rmtree(folder.parent)
    start = {"weights": "mine.safetensors", "sha256": "0" * 64, "head": "new"}
    start |= {"network": "resnet50:gelu of width 16", "layer_decay": 0.75, "frozen_stages": 0}
    for changed in ({"start": start}, {"train_images": 100_000}):
        folder = write_run(root, "gelu", 0, done=1, **changed)
        time.sleep(all_runs.FRESH)
        page = html(opened())
        assert page.index(caution) > page.rindex("run-head")  # only the form's, for its own data
        shutil.rmtree(folder.parent)


def test_runs_of_the_studys_steps_are_compared_with_the_step_before(root, monkeypatch):
    """As the committed ones were, while they ran."""
    monkeypatch.setattr(reader, "is_locked", lambda _: True)
    committed = RESULTS / "runs" / "tiny-imagenet-100"
    for folder in committed.glob("confirmation-*-10-?-seed?"):
        shutil.copytree(folder, root / "tiny-imagenet-100" / folder.name)
    now = root / "tiny-imagenet-100" / "confirmation-layer_norm-10-b-seed1"
    content = json.loads((now / "run.json").read_text())
    (now / "run.json").write_text(json.dumps(content | {"status": "running"}))
    app = opened()
    assert lines(charts(app)[1]) == [*[("before", 10)] * 2, ("earlier", 10), ("now", 10)]
    assert "Change from Fewer norms: −" in html(app)
    assert "An interval needs two finished seeds of both steps." in html(app)
    (now / "run.json").write_text(json.dumps(content))
    found = reader.read_runs(root)
    run = next(run for run in found.points if run.path == now)
    scores = shown.study_scores(found, run)
    (last,) = shown.study_narrowing(scores, run.val_images, "resnet50", "layer_norm")
    values = [[s for key, _, s in scores if key == step] for step in ("fewer_norms", "layer_norm")]
    assert last.change.points == pytest.approx(fmean(values[1]) - fmean(values[0]))
    assert last.change.verdict == "loss"


def test_public_visitors_see_cards_without_the_log_and_without_buttons(training, monkeypatch):
    monkeypatch.setenv(visitors.VARIABLE, "1")
    (training / "train.log").write_text("a secret place\n")
    app = opened()
    assert "Stage ratio, seed 2" in html(app)
    assert "secret" not in html(app)
    assert not app.expander
    assert not app.button
