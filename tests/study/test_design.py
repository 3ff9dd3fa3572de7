"""Designs: optimal, the same from the same seed, refused when damaged, trained by a sweep."""

import json
import subprocess

import numpy as np
import pytest
from forked import Forked
from scipy.stats import t
from studies import small_design, small_space
from typer.testing import CliRunner

from roadmap.cli import app
from roadmap.study.design import DESIGNS, Design, Point, read_design
from roadmap.study.optimal import optimal_design, sample, standard_errors
from roadmap.study.space import StudyError
from roadmap.study.terms import Terms, crossed
from roadmap.sweep import estimate as estimating
from roadmap.sweep.plan import design_runs


@pytest.fixture(scope="module")
def design():
    return small_design()


def test_points_are_valid_and_named_once(design):
    assert all(design.space.problem(point.levels) is None for point in design.points)
    assert len({point.key for point in design.points}) == len(design.points) == 48 + 8 + 12


def test_it_is_the_same_from_the_same_seed(design):
    assert small_design() == design
    assert small_design(seed=1) != design


def test_replicates_are_points_of_the_fit_with_another_seed(design):
    fitted = {tuple(p.levels.items()) for p in design.points if p.role == "fit"}
    places = {tuple(p.levels.items()): i for i, p in enumerate(design.points) if p.role == "fit"}
    repeated = [(i, p) for i, p in enumerate(design.points) if p.role == "replicate"]
    assert all(tuple(p.levels.items()) in fitted and p.seed == 1 for _, p in repeated)
    assert all(places[tuple(p.levels.items())] < i for i, p in repeated)


def test_predictions_vary_less_than_by_a_random_design(design):
    terms = Terms(design.space, design.interactions)
    at = terms.of(sample(design.space, 500, np.random.default_rng(9)))

    def mean_variance(points):
        matrix = terms.of(points)
        return np.einsum("ij,jk,ik->i", at, np.linalg.inv(matrix.T @ matrix), at).mean()

    chosen = mean_variance([p.levels for p in design.points if p.role == "fit"])
    random = [
        mean_variance(sample(design.space, 48, np.random.default_rng(seed))) for seed in range(5)
    ]
    assert chosen < 0.75 * min(random)


def test_standard_errors_are_those_of_the_fit(design):
    """Against the scatter of effects over made experiments."""
    terms = Terms(design.space, design.interactions)
    rows = terms.of([p.levels for p in design.points if p.role in ("fit", "replicate")])
    noise = np.random.default_rng(3).normal(size=(len(rows), 4000))
    scatter = 2 * np.linalg.lstsq(rows, noise, rcond=None)[0].std(1)
    said = standard_errors(design)
    for place, factor in enumerate(design.space.factors, start=1):
        assert said[factor.name] == pytest.approx(scatter[place], rel=0.06)


def test_half_of_the_runs_tell_the_factors_apart(design):
    factors = 1 + len(design.space.factors)
    fit = [p.levels for p in design.points if p.role == "fit"]
    rows = Terms(design.space, ()).of(fit[: len(fit) // 2])[:, :factors]
    assert np.linalg.matrix_rank(rows) == factors


def test_too_few_runs_are_refused():
    space = small_space()
    with pytest.raises(StudyError, match="10 runs are too few for 21 terms"):
        optimal_design("few", space, crossed(space), runs=10)


def test_a_design_is_read_as_it_was_written(design, tmp_path):
    design.save(tmp_path / "d.json")
    assert read_design(tmp_path / "d.json") == design


@pytest.mark.parametrize("path", sorted(DESIGNS.glob("*.json")), ids=lambda path: path.stem)
def test_committed_designs_can_be_read(path):
    assert read_design(path).name == path.stem


def test_the_study_has_the_runs_that_it_promises():
    roles = [p.role for p in read_design(DESIGNS / "small_data.json").points]
    assert (roles.count("fit"), roles.count("replicate"), roles.count("held_out")) == (128, 12, 24)
    found = read_design(DESIGNS / "small_data.json")
    # at the seeds' standard deviation of 0.75: known to 0.6 points, with 95% confidence
    assert (
        max(standard_errors(found)[f.name] for f in found.space.factors if f.kind == "change")
        < 0.41
    )


DAMAGE = [
    ("", "not valid JSON; it may be truncated"),
    ("[1, 2]", "is not a usable design"),
    ("[" * 100_000, "not valid JSON"),
    ('{"schema": 2}', "its schema is 2"),
]


@pytest.mark.parametrize(("text", "why"), DAMAGE)
def test_text_that_is_no_design_is_refused(text, why, tmp_path):
    path = tmp_path / "d.json"
    path.write_text(text)
    with pytest.raises(StudyError, match=why):
        read_design(path)


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (lambda d: d.update(name="../up"), "its name is '../up'; start with"),
        (
            lambda d: d["points"][0].update(key="../../etc"),
            "the key of a point is '../../etc'; start",
        ),
        (
            lambda d: d["points"][0].update(role="best"),
            "001 is 'best'; use fit, replicate, held_out",
        ),
        (lambda d: d["points"][0].update(seed=-1), "seed is -1"),
        (lambda d: d["points"][0].update(seed=True), "seed is True"),
        (lambda d: d["points"][0]["levels"].pop("gelu"), "differ in factor 'gelu'"),
        (lambda d: d["points"][0]["levels"].update(gelu="maybe"), "no level 'maybe'"),
        (lambda d: d["points"].append(d["points"][0]), "two points have the key"),
        (lambda d: d.update(points=[]), "0 points"),
        (lambda d: d.pop("interactions"), "is not a usable design: it has no 'interactions'"),
        (lambda d: d["interactions"].append(["gelu", "nothing"]), "No factor is named 'nothing'"),
        (
            lambda d: d["points"][0]["levels"].update(
                depthwise_conv="off", move_up_depthwise="on", fewer_norms="off"
            ),
            "is not in the space: depthwise_position",
        ),
    ],
)
def test_a_damaged_design_is_refused_with_a_sentence(design, change, why, tmp_path):
    design.save(tmp_path / "d.json")
    found = json.loads((tmp_path / "d.json").read_text())
    change(found)
    (tmp_path / "d.json").write_text(json.dumps(found))
    with pytest.raises(StudyError, match=why):
        read_design(tmp_path / "d.json")


def test_a_huge_file_is_refused_unread(tmp_path):
    path = tmp_path / "d.json"
    with path.open("wb") as file:
        file.truncate(17 << 20)
    with pytest.raises(StudyError, match="larger than 16 MB"):
        read_design(path)


# -- a sweep over a design -------------------------------------------------------------------


@pytest.fixture
def pocket(tmp_path):
    """Two points small enough to train, on the digits."""
    space = small_space()
    recipe = space.recipe.replace(
        batch_size=64, train_size=32, test_size=32, test_resize=32, layer_scale=None
    )
    levels = space.origin | {"epochs": "10"}
    space = type(space)(space.roadmap, space.start, recipe, space.factors[:-1], None)
    levels.pop("epochs")
    space = type(space)(
        space.roadmap, space.start, recipe.replace(epochs=1, warmup_epochs=0), space.factors, None
    )
    points = (
        Point(key="a", role="fit", levels=levels),
        Point(key="b", role="held_out", levels=levels | {"gelu": "on"}, seed=3),
    )
    design = Design(name="pocket", space=space, points=points)
    design.save(tmp_path / "pocket.json")
    return tmp_path / "pocket.json"


def sweep(*words):
    return CliRunner().invoke(app, ["sweep", *map(str, words)])


def test_a_sweep_trains_a_design_and_its_runs_are_read(pocket, tmp_path, monkeypatch):
    from roadmap.runs import read_runs

    monkeypatch.setattr(subprocess, "Popen", Forked)
    words = ["--design", pocket, "--scale", "pocket", "--output", tmp_path / "runs" / "digits"]
    found = sweep(*words, "--device", "cpu")
    assert found.exit_code == 0, found.stderr
    runs = read_runs(tmp_path / "runs")
    assert (runs.runs, runs.unreadable) == ((), ())
    assert [(r.point.key, r.point.role, r.seed, r.finished) for r in runs.points] == [
        ("a", "fit", 0, True),
        ("b", "held_out", 3, True),
    ]
    again = sweep(*words, "--device", "cpu")
    assert "Finished: 2 of 2 runs" in again.stderr


def test_the_dry_run_says_how_precisely_each_effect_will_be_known():
    found = sweep("--design", DESIGNS / "digits.json", "--scale", "pocket", "--dry-run")
    assert found.exit_code == 0, found.stderr
    assert "Runs: 84, 84 already finished" in found.stdout
    design = read_design(DESIGNS / "digits.json")
    degrees = 72 - len(Terms(design.space, design.interactions).names)
    half = t.ppf(0.975, degrees) * standard_errors(design)["gelu"]
    assert f"gelu ±{half:.2f}" in found.stdout
    assert f"squares and the {len(design.interactions)} planned interactions" in found.stdout


def test_the_time_of_a_design_follows_from_the_steps_speeds(tmp_path, monkeypatch):
    """The step that was measured, at its own speed and by its pixels."""
    design = read_design(DESIGNS / "size_check.json")
    row = {"source": "resnet50", "name": "gelu", "mode": "training", "device_name": "A"}
    row |= {"image_size": "224", "compiled": "True", "images_per_s": "1000"}
    monkeypatch.setattr(estimating, "_training_speeds", lambda: [row])
    jobs = design_runs(design, tmp_path, compiled=True)
    gelu = next(job for job in jobs if "gelu" in job.name)
    hours = estimating.estimate([gelu], "A", 1000).hours["A"].known
    assert hours * 3600 == pytest.approx(30 * 1000 / (1000 * (224 / 96) ** 2))


@pytest.mark.parametrize(
    "option", [["--step", "gelu"], ["--seeds", "1"], ["--recipe", "convnext"], ["--epochs", "3"]]
)
def test_a_design_leaves_nothing_to_the_options(pocket, option):
    found = sweep("--design", pocket, "--scale", "pocket", *option)
    assert found.exit_code == 2
    assert "omit --step, --skip, --seeds" in found.stderr


def test_a_design_that_is_not_there_is_one_sentence(tmp_path):
    found = sweep("--design", tmp_path / "none.json", "--scale", "pocket")
    assert found.exit_code == 2
    assert found.stderr.count("\n") == 1
    assert "cannot be read: No such file" in found.stderr


def test_two_designs_of_one_name_are_refused(pocket):
    found = sweep("--design", pocket, "--design", pocket, "--scale", "pocket")
    assert found.exit_code == 2
    assert "named pocket" in found.stderr
