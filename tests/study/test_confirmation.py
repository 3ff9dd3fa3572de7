"""Simulated confirmation runs are compared with what the fitted model predicts."""

from dataclasses import replace

import pytest
from studies import made_run, made_runs, small_design, small_space, truth

from roadmap.steps import ROADMAPS
from roadmap.study import factors
from roadmap.study.confirmation import _step, confirmations, confirmed
from roadmap.study.design import DESIGNS, Design, Point, read_design
from roadmap.study.effects import Effects
from roadmap.study.experiment import open_experiment
from roadmap.study.model import combination_row, fit
from roadmap.study.text import basis

GELU = {"depthwise_conv": "off", "inverted_bottleneck": "off", "move_up_depthwise": "off"}
GELU |= {"gelu": "on", "fewer_norms": "off"}


@pytest.fixture(scope="module")
def study():
    return small_design()


@pytest.fixture(scope="module")
def runs(study):
    return made_runs(study, truth(study), 0.8)


@pytest.fixture(scope="module")
def model(study, runs):
    return fit(study, runs)


def confirming(rate=1.5e-3, epochs=30, role="confirmation", space=None, **levels):
    """A design of one combination, at a rate and a length that the study did not train."""
    space = space or small_space()
    settings = (
        factors.learning_rate([rate, 1e-2, 1e-1]),
        factors.epochs(sorted({5, epochs, 400})),
    )
    space = replace(space, factors=(*space.factors[:5], *settings))
    levels = GELU | levels | {"lr": f"{rate:g}", "epochs": str(epochs)}
    points = tuple(Point(key="one", role=role, levels=levels, seed=seed) for seed in (0, 1))
    return Design(name="more", space=space, points=(points[0], replace(points[1], key="two")))


def scored(design, *scores, data="made"):
    return [
        made_run(design, p, score, data=data)
        for p, score in zip(design.points, scores, strict=True)
    ]


def said(experiment):
    return " ".join(basis(experiment, Effects(experiment.model)))


def compared(model, design, runs, *more):
    return confirmations(model, [model.design, design], [*runs, *more])


def test_the_prediction_is_the_models_at_the_runs_own_rate_and_length(model, runs):
    design = confirming()
    row = combination_row(model, model.design.space.origin | {"gelu": "on"}, lr=1.5e-3, epochs=30)
    expected = model.predict(row[None])[0]
    near, far = expected.high - 0.01, expected.high + 0.01
    (found,) = compared(model, design, runs, *scored(design, near, far))
    assert (found.design, found.epochs, found.lr) == ("more", 30, 1.5e-3)
    assert found.prediction == pytest.approx(expected)
    assert found.scores == (near, far)
    assert found.inside == 1
    summary = confirmed([found])
    assert summary[:2] == (2, 1)
    assert summary.mean == pytest.approx(expected.high - expected.top1)
    assert summary.rmse == pytest.approx(expected.high - expected.top1, abs=0.02)
    assert summary.beyond == 0


@pytest.mark.parametrize("beyond", [{"epochs": 120}, {"rate": 9e-3}])
def test_there_is_no_prediction_beyond_what_was_trained(model, runs, beyond):
    design = confirming(**beyond)
    (found,) = compared(model, design, runs, *scored(design, 60, 61))
    assert found.prediction is None
    assert found.inside is None
    assert found.scores == (60, 61)
    assert confirmed([found]) == (0, 0, None, None, 2)


def other_recipe():
    space = small_space()
    return {"space": replace(space, recipe=space.recipe.replace(weight_decay=0.3))}


def other_network():
    space = small_space()
    return {"space": replace(space, start=replace(space.start, width=32))}


@pytest.mark.parametrize("given", [other_recipe(), other_network(), {"role": "held_out"}])
def test_what_the_study_does_not_cover_is_not_compared(model, runs, given):
    design = confirming(**given)
    assert compared(model, design, runs, *scored(design, 60, 61)) == ()


def test_a_length_of_the_study_must_have_its_warm_up(model, runs):
    design = confirming(epochs=40)
    assert len(compared(model, design, runs, *scored(design, 60, 61))) == 1
    lengths = design.space.factors[-1]
    levels = tuple(
        replace(level, recipe={**level.recipe, "warmup_epochs": 1}) for level in lengths.levels
    )
    space = replace(
        design.space, factors=(*design.space.factors[:-1], replace(lengths, levels=levels))
    )
    design = replace(design, space=space)
    assert compared(model, design, runs, *scored(design, 60, 61)) == ()


def test_runs_on_other_images_are_not_compared(model, runs):
    design = confirming()
    other = [replace(run, data_sha256="1" * 64) for run in scored(design, 60, 61)]
    assert compared(model, design, runs, *other) == ()


def test_unfinished_seeds_are_not_waited_for(model, runs):
    design = confirming()
    (found,) = compared(model, design, runs, scored(design, 60, 61)[1])
    assert found.scores == (61,)


def test_a_network_of_the_roadmap_is_named_by_its_step(model, runs):
    design = confirming(gelu="off")
    (found,) = compared(model, design, runs, *scored(design, 60, 61))
    assert found.step == "one"  # no step has these layers: the made space is smaller
    space = read_design(DESIGNS / "small_data.json").space
    assert _step(space, space.step_levels("gelu")) == ROADMAPS["resnet50"].step("gelu").title


def test_confirmations_change_no_fitted_number_and_are_said(study, runs):
    design = confirming()
    more = scored(design, 1.5, 99.0)
    alone = open_experiment(study, runs)
    found = open_experiment(study, [*runs, *more], [study, design])
    assert (found.model.coefficients == alone.model.coefficients).all()
    assert alone.confirmations == ()
    assert "confirmation" not in said(alone)
    assert (
        "Of 2 confirmation runs, none of them fitted, 0 (0%) are inside their 95% intervals"
        in said(found)
    )


def test_runs_beyond_the_trained_range_are_said(study, runs):
    design = confirming(epochs=120)
    found = open_experiment(study, [*runs, *scored(design, 60, 61)], [study, design])
    words = said(found)
    assert "2 confirmation runs are beyond the trained range and have no prediction." in words
    assert "none of them fitted" not in words
    predicted = replace(confirming(), name="within")
    runs = [*runs, *scored(design, 60, 61), *scored(predicted, 60, 61)]
    words = said(open_experiment(study, runs, [study, design, predicted]))
    assert "Of 2 confirmation runs, none of them fitted" in words
    assert "2 more confirmation runs are beyond the trained range and have no prediction." in words
