"""The commands effects and predict, on simulated runs."""

import json
import re
from dataclasses import replace

import pytest
from studies import made_runs, save_runs, small_design, truth
from typer.main import get_command
from typer.testing import CliRunner

from roadmap.cli import app
from roadmap.study.design import DESIGNS, read_design
from roadmap.study.effects import VIEWS, Effects
from roadmap.study.model import fit

STD = 0.8


@pytest.fixture(scope="module")
def design():
    return small_design()


@pytest.fixture(scope="module")
def folder(design, tmp_path_factory):
    root = tmp_path_factory.mktemp("study")
    design.save(root / "small.json")
    save_runs(root / "runs", design, made_runs(design, truth(design), STD))
    return root


def command(name, folder, *words):
    given = ["--design", str(folder / "small.json"), "--runs", str(folder / "runs")]
    return CliRunner().invoke(app, [name, "--data", "made", *given, *words])


def test_effects_prints_every_view(folder):
    found = command("effects", folder)
    assert found.exit_code == 0, found.stderr
    assert "Fitted to 56 of 56 runs on made" in found.stdout
    assert "On 12 held-out runs" in found.stdout
    for view in VIEWS:
        assert view in found.stdout


def test_effects_as_json_has_every_figure(folder, design):
    rows = json.loads(command("effects", folder, "--format", "json").stdout)
    model = fit(design, made_runs(design, truth(design), STD))
    right = Effects(model).worth("in place")
    # the runs in the folder are of another number of validation images
    assert [row["in_place"] for row in rows] == pytest.approx(
        [w.effect.points for w in right], abs=0.01
    )
    assert rows[2]["alone"] is None
    assert rows[2]["alone_verdict"] == "impossible"


def test_effects_at_another_rate_and_length_differ(folder):
    usual, other = (
        json.loads(command("effects", folder, "--format", "json", *more).stdout)
        for more in ([], ["--epochs", "10", "--lr", "0.001"])
    )
    assert usual[0]["in_place"] != other[0]["in_place"]


def test_predict_covers_what_was_sampled_and_nothing_else(folder, tmp_path, design):
    words = ["--level", "gelu=on", "--format", "json"]
    (row,) = json.loads(command("predict", folder, *words).stdout)
    assert row["low"] < row["top1"] < row["high"]
    assert row["config"]["activation"] == "gelu"
    path = tmp_path / "wide.json"
    path.write_text(replace(design.space.start, width=32).to_json())
    found = command("predict", folder, "--config", str(path))
    assert found.exit_code == 2
    assert "no run was planned with width 32" in found.stderr


def test_predict_finds_the_best_within_limits(folder):
    words = ["--best", "--format", "json"]
    (free,) = json.loads(command("predict", folder, *words).stdout)
    limit = str(0.9 * free["gflops"])
    (bound,) = json.loads(command("predict", folder, *words, "--max-gflops", limit).stdout)
    assert bound["gflops"] <= 0.9 * free["gflops"]
    assert bound["top1"] <= free["top1"]
    (same,) = json.loads(
        command("predict", folder, *words, "--max-minutes", str(1.01 * free["minutes"])).stdout
    )
    assert same == free
    refused = command("predict", folder, "--best", "--max-minutes", "0.0001")
    assert refused.exit_code == 2
    assert "the shortest training" in refused.stderr


@pytest.mark.parametrize(
    ("words", "why"),
    [
        ([], "select one network"),
        (["--best", "--step", "gelu"], "select one network"),
        (["--level", "gelu"], "use NAME=LEVEL"),
        (["--level", "gleu=on"], "Did you mean 'gelu'"),
        (["--level", "gelu=yes"], "no level 'yes'"),
        (["--step", "nothing"], "No step of resnet50 is named 'nothing'"),
        (["--step", "gelu", "--max-gflops", "3"], "only apply to --best"),
        (["--step", "gelu", "--max-minutes", "3"], "only apply to --best"),
        (["--best", "--setting", "gelu=foo"], "no level 'foo'. Available: off, on."),
        (["--best", "--setting", "color=red"], "No factor is named 'color'"),
        (["--level", "lr=0.001"], "lr is not selected by a level; use --lr 0.001"),
        (["--best", "--setting", "epochs=10"], "use --epochs 10"),
        (["--level", "gelu=on", "--lr", "3"], "--lr is 3; the trained range is"),
    ],
)
def test_wrong_words_are_a_sentence(folder, words, why):
    found = command("predict", folder, *words)
    assert found.exit_code == 2
    assert why in found.stderr
    assert "Traceback" not in found.stderr
    assert re.search(r"[^.]\.\n$", found.stderr)


def test_predict_states_the_rate_that_it_used(folder):
    words = ["--level", "gelu=on"]
    (row,) = json.loads(command("predict", folder, *words, "--format", "json").stdout)
    said = command("predict", folder, *words).stdout
    assert f"at its best learning rate, {row['lr']:.2g}, within the range trained; " in said
    assert said.count("learning rate") == 1
    assert "learning rate 0.001" in command("predict", folder, *words, "--lr", "0.001").stdout


def test_effects_says_what_own_rate_means(folder):
    said = command("effects", folder).stdout
    assert "Own rate: in place, but each network at its own best learning rate." in said


@pytest.mark.parametrize("path", sorted(DESIGNS.glob("*.json")), ids=lambda path: path.stem)
@pytest.mark.parametrize("option", ["level", "setting"])
def test_the_examples_in_the_help_work_with_every_design(path, option):
    space = read_design(path).space
    texts = {one.name: one.help for one in get_command(app).commands["predict"].params}
    name, key = re.search(r"such as (\w+)=(\w+)", texts[option]).groups()
    assert key != space.origin[name]
    assert space.problem(space.origin | {name: key}) is None


def test_data_without_runs_is_a_sentence(folder):
    words = ["effects", "--data", "nowhere", "--runs", str(folder / "runs")]
    found = CliRunner().invoke(app, words)
    assert found.exit_code == 2
    assert "no run of a design was trained on data named 'nowhere'" in found.stderr
