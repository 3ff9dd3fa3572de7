"""Known effects of simulated runs are recovered, as precisely as stated."""

import itertools
import json
import re
from dataclasses import replace

import numpy as np
import pytest
from studies import made_run, made_runs, small_design, small_space, truth

from roadmap.measure.complexity import count
from roadmap.runs import RunPoint
from roadmap.study.atlas import Limits, _networks, atlas
from roadmap.study.design import DESIGNS, read_design
from roadmap.study.effects import VIEWS, Effects, EffectSettings
from roadmap.study.experiment import Experiment, open_experiment
from roadmap.study.model import all_terms, combination_row, fit, judge, percent, read_model
from roadmap.study.shrinkage import UNIT
from roadmap.study.space import StudyError
from roadmap.study.text import basis

STD = 0.8
DRAWS = 200


@pytest.fixture(scope="module")
def design():
    return small_design()


@pytest.fixture(scope="module")
def world(design):
    """The coefficients, and the true worth of each change in the views that are contrasts."""
    coefficients = truth(design)
    model = fit(design, made_runs(design, coefficients, 1e-9))
    rows = model.terms.of([point.levels for point in design.points if point.role != "held_out"])
    np.testing.assert_allclose(rows @ model.coefficients, rows @ coefficients, atol=2e-2)
    effects = Effects(replace(model, coefficients=coefficients))
    views = {view: [w.effect for w in effects.worth(view)] for view in VIEWS}
    return coefficients, views


@pytest.fixture(scope="module")
def made(design, world):
    return fit(design, made_runs(design, world[0], STD))


def odds(top1):
    return UNIT * np.log(top1 / (100 - top1))


def flat(design):
    """A world in which every network scores 50%."""
    coefficients = np.zeros_like(truth(design))
    coefficients[0] = 0
    return coefficients


@pytest.fixture(scope="module")
def worlds(design):
    """Models of 200 simulated data sets, each with its true effects."""
    found = []
    for seed in range(DRAWS):
        coefficients = truth(design, 1000 + seed)
        model = fit(design, made_runs(design, coefficients, STD, seed))
        found.append((model, Effects(replace(model, coefficients=coefficients))))
    return found


@pytest.mark.parametrize("view", VIEWS)
def test_intervals_have_their_nominal_coverage(worlds, view):
    """Over 200 worlds and all changes; at the best rate, a maximum, at least roughly."""
    inside = []
    for model, true in worlds if view != "own rate" else worlds[:50]:
        for worth, right in zip(Effects(model).worth(view), true.worth(view), strict=True):
            if right.effect is not None:
                inside.append(worth.effect.low <= right.effect.points <= worth.effect.high)
    low, high = (0.925, 0.975) if view != "own rate" else (0.88, 1.0)
    assert low <= np.mean(inside) <= high


def test_prediction_intervals_have_their_nominal_coverage(design, worlds):
    found = []
    for seed, (model, true) in enumerate(worlds):
        runs = made_runs(design, true.model.coefficients, STD, seed)
        found.append(judge(model, runs))
    assert 0.93 <= np.mean([one.coverage for one in found]) <= 0.97
    assert {one.runs for one in found} == {12}


def test_the_spread_is_that_of_the_world(worlds):
    models = [model for model, _ in worlds]
    at_half = np.sqrt(100 * 100 / 4 * np.mean([model.dispersion for model in models]))
    assert at_half == pytest.approx(STD, rel=0.03)
    assert np.mean([m.pure_error.std for m in models]) == pytest.approx(STD, rel=0.1)
    assert np.mean([m.pure_error.lack_of_fit_p < 0.05 for m in models]) < 0.1


@pytest.mark.parametrize("epochs", [10, 20, 40])
@pytest.mark.parametrize("lr", [0.001, 0.004])
def test_the_spread_that_is_said_is_the_one_of_the_settings(made, epochs, lr):
    """Also where short and fast runs are made more erratic."""
    model = replace(made, dispersion=0.04**2, trend=2.0)
    code = made.design.space.factor("lr").coded_value(lr)
    std = 50 * 0.04 * np.exp((code - {10: -1, 20: 0, 40: 1}[epochs]) / 2)
    assert model.run_std(epochs=epochs, lr=lr) == pytest.approx(std)
    found = Experiment(model.design, (), (), model, None)
    said = basis(found, Effects(model, EffectSettings(epochs=epochs, lr=lr)))[0]
    assert f"after {epochs} epochs at this rate: {std:.2f} points at a top-1" in said


def test_a_term_that_the_model_lacks_shows_as_lack_of_fit(design, world):
    terms = all_terms(design)
    coded = terms.coded([point.levels for point in design.points])
    third = 6 * coded[:, [terms.place(name) for name in ("gelu", "fewer_norms", "lr")]].prod(1)
    runs = [
        replace(run, scores={"top1": float(percent(odds(run.top1) + more))})
        for run, more in zip(made_runs(design, world[0], STD), third, strict=True)
    ]
    assert fit(design, runs).pure_error.lack_of_fit_p < 0.01


def test_nothing_there_is_nothing_found(design):
    """With Holm's correction, any claim at all in at most 5% of simulations without effects."""
    coefficients = flat(design)
    claims = [
        any(w.verdict in ("gain", "loss") for w in Effects(fit(design, runs)).worth("in place"))
        for runs in (made_runs(design, coefficients, STD, seed) for seed in range(DRAWS))
    ]
    assert np.mean(claims) < 0.09


# -- the views -------------------------------------------------------------------------------


def test_the_mean_over_orders_is_that_of_all_valid_orders(made):
    """By going through every order of the five changes."""
    effects = Effects(made)
    names = [change.name for change in effects.changes]
    sums, orders = dict.fromkeys(names, 0.0), 0
    for order in itertools.permutations(names):
        try:
            path = effects.path(order)
        except StudyError:
            continue
        orders += 1
        scores = [effects.predicted(levels, 2e-3).top1 for levels in path]
        for name, before, after in zip(order, scores, scores[1:], strict=False):
            sums[name] += after - before
    assert 0 < orders < 120
    for worth in effects.worth("all orders"):
        assert worth.effect.points == pytest.approx(sums[worth.change.name] / orders)


@pytest.mark.parametrize("view", ["in place", "all orders"])
def test_the_changes_add_up_to_the_whole_way(made, view):
    effects = Effects(made)
    path = effects.path([change.name for change in effects.changes])
    whole = effects.predicted(path[-1]).top1 - effects.predicted(path[0]).top1
    assert sum(w.effect.points for w in effects.worth(view)) == pytest.approx(whole)


def test_a_change_that_cannot_be_alone_says_why(made):
    found = {w.change.name: w for w in Effects(made).worth("alone")}
    assert found["move_up_depthwise"].verdict == "impossible"
    assert "depthwise is false" in found["move_up_depthwise"].why
    assert found["gelu"].effect is not None


def test_an_order_that_makes_no_network_names_the_change(made):
    with pytest.raises(StudyError, match=r"Move up depthwise cannot come here: .*depthwise"):
        Effects(made).path(["gelu", "move_up_depthwise"])


def test_the_best_rate_is_where_the_world_has_it(design, world):
    coefficients = world[0].copy()
    names = all_terms(design).names
    for i, name in enumerate(names):
        if "lr" in name:
            coefficients[i] = 0
    coefficients[names.index("lr")] = 0.8
    coefficients[names.index("lr²")] = -0.8
    effects = Effects(fit(design, made_runs(design, coefficients, 1e-9)))
    # the parabola's top is at code 0.5: a quarter from the end, in powers of two
    assert effects.best_rate(design.space.origin) == pytest.approx(2e-3 * 2**0.5, rel=0.03)


def test_a_change_that_pays_only_when_trained_long_says_from_when(design):
    coefficients = flat(design)
    names = all_terms(design).names
    coefficients[names.index("gelu × epochs")] = 1.0  # nothing at 20 epochs, the middle
    effects = Effects(fit(design, made_runs(design, coefficients, 1e-9)))
    found = {b.change.name: b for b in effects.budgets([10, 15, 20, 25, 30, 40])}
    assert found["gelu"].pays_from == 25
    coefficients[1:] *= -1
    effects = Effects(fit(design, made_runs(design, coefficients, 1e-9)))
    assert effects.budgets([25, 40])[3].pays_from is None


def test_the_strongest_interaction_comes_first(design):
    coefficients = flat(design)
    names = all_terms(design).names
    coefficients[names.index("gelu × fewer_norms")] = -0.5
    found = Effects(fit(design, made_runs(design, coefficients, 1e-9))).interactions()[0]
    assert (found.first.name, found.second.name) == ("gelu", "fewer_norms")
    assert found.effect.points == pytest.approx(-2.0, rel=1e-3)


def test_no_prediction_leaves_what_an_accuracy_can_be(design, world):
    coefficients = 20 * world[0]
    coefficients[0] = 100
    model = fit(design, made_runs(design, coefficients, STD))
    found = atlas(Effects(model))
    assert found.top1.max() > 99
    assert (found.low >= 0).all()
    assert (found.high <= 100).all()


# -- partial, foreign and hostile runs -------------------------------------------------------


def test_too_few_runs_are_a_sentence(design, world):
    with pytest.raises(
        StudyError,
        match=r"only \d+ runs of the design small have finished and learned; at least 17",
    ):
        fit(design, made_runs(design, world[0], STD)[:12])
    with pytest.raises(StudyError, match="no run of the design small has finished"):
        fit(design, [])


def test_held_out_runs_are_not_fitted(design, world):
    runs = made_runs(design, world[0], STD)
    wild = [
        replace(run, scores={"top1": 9.0}) if run.point.role == "held_out" else run for run in runs
    ]
    np.testing.assert_array_equal(fit(design, wild).coefficients, fit(design, runs).coefficients)
    assert judge(fit(design, wild), wild).coverage == 0


def test_runs_that_did_not_learn_are_left_out_and_named(design, world):
    runs = made_runs(design, world[0], STD)
    dead = [replace(run, scores={"top1": 1.0}) for run in runs[:2]]
    model = fit(design, [*dead, *runs[2:]])
    assert model.unlearned == tuple(p.key for p in design.points[:2] if p.role != "held_out")
    rows = model.terms.of([point.levels for point in design.points])
    np.testing.assert_allclose(rows @ model.coefficients, rows @ world[0], atol=3 * STD)
    said = " ".join(basis(open_experiment(design, [*dead, *runs[2:]]), Effects(model)))
    assert "2 runs did not learn" in said
    assert f"{runs[0].point.key}, {runs[1].point.key}" in said


def test_runs_that_are_not_what_the_design_says_are_left_out_and_named(design, world):
    runs = made_runs(design, world[0], STD)
    first, second = design.points[:2]
    wrong = [
        made_run(design, replace(second, key=first.key), 50.0),
        made_run(design, design.points[2], 50.0, data="other"),
        replace(runs[3], seed=99),
        replace(runs[4], point=RunPoint("small", "nothing", "fit", {"a": "b"})),
    ]
    found = open_experiment(design, [*wrong, *runs[5:]])
    right = fit(design, runs[5:])
    np.testing.assert_array_equal(found.model.coefficients, right.coefficients)
    assert found.foreign == tuple(wrong)
    assert "4 runs left out for not matching the design" in " ".join(
        basis(found, Effects(found.model))
    )


def test_nothing_is_predicted_outside_of_what_was_trained(design, made):
    effects = Effects(made)
    with pytest.raises(StudyError, match=r"lr is 0\.1; the trained range is 0\.001 to"):
        effects.predicted(design.space.origin, 0.1)
    with pytest.raises(StudyError, match="epochs is 100"):
        Effects(made, EffectSettings(epochs=100))
    with pytest.raises(StudyError, match="not covered"):
        effects.predicted(design.space.origin | {"move_up_depthwise": "on"})


def test_a_model_is_read_as_it_was_saved(design, made, tmp_path):
    path = tmp_path / "model.json"
    made.save(path)
    found = read_model(path, design)
    row = combination_row(found, design.space.origin)
    assert found.predict(row[None])[0] == pytest.approx(made.predict(row[None])[0], rel=1e-4)
    assert found.pure_error == made.pure_error


@pytest.mark.parametrize(
    "change",
    [
        lambda m: m.update(schema=9),
        lambda m: m.update(design="other"),
        lambda m: m["coefficients"].popitem(),
        lambda m: m["covariance"].pop(),
        lambda m: m.update(dispersion="wide"),
        lambda m: m["coefficients"].update(gelu=float("nan")),
        lambda m: m.update(group_std={"pairs": "wide"}),
        lambda m: m.clear(),
    ],
)
def test_a_damaged_model_is_refused(design, made, tmp_path, change):
    path = tmp_path / "model.json"
    made.save(path)
    found = json.loads(path.read_text())
    change(found)
    path.write_text(json.dumps(found))
    with pytest.raises(StudyError, match="is not a usable model"):
        read_model(path, design)


# -- all combinations ------------------------------------------------------------------------


def test_the_atlas_has_every_valid_network_at_its_best_rate(design, made):
    effects = Effects(made)
    found = atlas(effects)
    networks = {design.space.network(levels) for levels in found.levels}
    assert len(networks) == len(found.levels) == 16
    for place in (0, 7, 15):
        levels = found.levels[place]
        rate = effects.best_rate(levels)
        predicted = effects.predicted(levels, rate)  # as the Builder does
        assert found.lr[place] == pytest.approx(rate)
        assert found.top1[place] == pytest.approx(predicted.top1)


@pytest.mark.parametrize(
    "space",
    [
        small_space(max_gmacs=0.2),
        *(read_design(DESIGNS / f"{name}.json").space for name in ("small_data", "digits")),
    ],
    ids=["limited", "small_data", "digits"],
)
def test_the_atlas_lists_the_networks_and_costs_of_one_at_a_time(space):
    """In the order of all levels, as the indices in the map's URL depend on it."""
    varied = [factor for factor in space.factors if factor.changes_layers]
    names = [factor.name for factor in varied]
    right = []
    for keys in itertools.product(*(factor.keys for factor in varied)):
        levels = space.origin | dict(zip(names, keys, strict=True))
        if space.problem(levels) is None:
            right.append((levels, *space.cost(levels)))
    found = _networks(space)
    assert [*zip(found.levels, found.gmacs, found.parameters, strict=True)] == right
    for levels, gmacs, parameters in right[::499]:
        cost = count(space.network(levels))
        assert (cost.macs / 1e9, cost.parameters) == (gmacs, parameters)


def test_the_best_is_within_the_limits_and_the_front_rises(made):
    found = atlas(Effects(made))
    limit = float(np.median(found.gmacs))
    best = found.best(Limits(gmacs=limit))
    assert found.gmacs[best] <= limit
    assert found.top1[best] == found.top1[found.gmacs <= limit].max()
    front = found.front(found.gmacs)
    assert (np.diff(found.gmacs[front]) > 0).all()
    assert (np.diff(found.top1[front]) > 0).all()
    with pytest.raises(StudyError, match="no network is within these limits") as error:
        found.best(Limits(gmacs=1e-6))
    numbers = re.search(
        r"cost is ([\d.]+) GFLOPs, the smallest size ([\d.]+) mil", str(error.value)
    )
    gflops, parameters = map(float, numbers.groups())
    assert found.gmacs.min() <= gflops <= 1.1 * found.gmacs.min()
    found.best(Limits(gmacs=gflops))
    found.best(Limits(parameters=1e6 * parameters))
