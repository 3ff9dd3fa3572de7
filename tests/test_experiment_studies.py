"""What the texts say of the check and the designed studies follows from their committed runs."""

import re
from functools import cache
from statistics import fmean

import numpy as np
import pandas as pd
import pytest
from committed_experiment import EXPERIMENT, PROJECT, ROOT, ablation, check_said

from roadmap.report.text import signed
from roadmap.runs import read_runs
from roadmap.study.confirmation import Confirmation, confirmations, confirmed
from roadmap.study.design import DESIGNS, read_design
from roadmap.study.effects import Effects
from roadmap.study.experiment import Experiment, of_data, open_experiment
from roadmap.study.model import Effect, judge, read_model
from roadmap.study.speed import fit_speed
from roadmap.views.method import init as method_init

MODELS = PROJECT / "results" / "models"
#: Not scored before the model was saved.
LAST_HELD_OUT = {"h18", "h19", "h20", "h21", "h22", "h23", "h24"}
#: Steps and seeds of 40 epochs whose confirmation runs were trained before the complete model was
#: saved.
TRAINED_BEFORE = {
    *((step, seed) for step in ("Stage ratio", "Patchify stem") for seed in (0, 1)),
    ("Depthwise convolution", 0),
}


@cache
def points() -> dict[str, float]:
    """Top-1 of the finished runs of designs, by the name of their folder."""
    found = read_runs(ROOT.parent).points
    return {run.path.name: run.scores["top1"] for run in found if run.path.parent == ROOT}


def test_the_table_of_the_check_has_the_scores_of_its_runs():
    head = "| step | trunc_normal, 2e-3 | default, 2e-3 | default, 4e-3 |"
    table = EXPERIMENT.read_text().split(head)[1].split("\n\n")[0]
    lines = re.findall(r"^\| `(\w+)` \|(.*)\|$", table, re.MULTILINE)
    said = {step: [float(cell) for cell in line.split("|")] for step, line in lines}
    means = {result.step.key: result.top1 for result in ablation().steps}
    assert len(said) == 5
    for step, cells in said.items():
        runs = [points()[f"init_check-{step}-lr{lr}-seed0"] for lr in ("0.002", "0.004")]
        assert cells == pytest.approx([means[step], *runs], abs=0.005)


def test_what_is_said_of_the_check_follows_from_its_runs():
    means = {result.step.key: result.top1 for result in ablation().steps}
    low = {step: points()[f"init_check-{step}-lr0.002-seed0"] for step in means if _checked(step)}
    high = {step: points()[f"init_check-{step}-lr0.004-seed0"] for step in low}
    moved = {step: low[step] - means[step] for step in low}
    last, norm = "separate_downsampling", "layer_norm"
    assert max(map(abs, moved.values())) == pytest.approx(2.14, abs=0.01)
    check_said(EXPERIMENT, "moves no step by more than 2.1 points")
    check_said(
        EXPERIMENT, f"`gelu` loses {-moved['gelu']:.1f}, the last step gains {moved[last]:.1f}"
    )
    losses = low["gelu"] - low[last], means["gelu"] - means[last]
    check_said(EXPERIMENT, "the loss is {:.1f} points instead of {:.1f}".format(*losses))
    check_said(EXPERIMENT, f"lose {high['gelu'] - high[norm]:.1f} points together")
    check_said(EXPERIMENT, f"at 2e-3 they lose {low['gelu'] - low[norm]:.1f}")
    check_said(EXPERIMENT, f"(and {means['gelu'] - means[norm]:.1f} under trunc_normal)")
    check_said(EXPERIMENT, f"stays {high[norm] - high[last]:.1f} points behind `layer_norm`")
    instead = (
        f"lose {high['gelu'] - high[norm]:.1f} points together instead of "
        f"{means['gelu'] - means[norm]:.1f}"
    )
    check_said(PROJECT / "README.md", instead)
    check_said(
        EXPERIMENT,
        instead,
        "initialization alone moves no step by more than 2.1 points",
        f"stays {high[norm] - high[last]:.1f} points behind layer norm",
    )


def test_what_is_said_of_the_authors_networks_is_what_the_page_says():
    said = " ".join(method_init.networks())
    for words in ("0.083 in the 4×4", "0.082 in a depthwise 7×7", "8,160 fewer parameters"):
        check_said(EXPERIMENT, words)
        assert words.removesuffix(" 4×4") in said


def _checked(step: str) -> bool:
    return f"init_check-{step}-lr0.002-seed0" in points()


def test_what_is_said_of_the_image_size_follows_from_its_runs():
    for step in ("training", "gelu", "fewer_norms", "separate_downsampling"):
        check_said(EXPERIMENT, f"{points()[f'size_check-{step}-96px-seed0']:.2f}%")


@cache
def study() -> Experiment:
    design = read_design(DESIGNS / "small_data.json")
    return open_experiment(design, of_data(read_runs(ROOT.parent).points, ROOT.name))


def mean_effect(name: str, low: float, high: float, epochs: float | None = None) -> Effect:
    """The effect of a setting from code ``low`` to ``high``, averaged over the design."""
    model = study().model
    coded = model.terms.coded([p.levels for p in model.design.points if p.role == "fit"])
    if epochs is not None:
        coded[:, model.terms.place("epochs")] = epochs
    both = np.concatenate([coded, coded])
    both[:, model.terms.place(name)] = np.repeat([low, high], len(coded))
    return model.effect(model.terms.matrix(both), np.repeat([-1.0, 1.0], len(coded)) / len(coded))


def in_table(effect: Effect) -> str:
    words = (f"{signed(number, 1)}" for number in effect[:3])
    return "{} ({} to {})".format(*words)


def test_the_study_is_complete():
    assert len(study().runs) == len(study().design.points)
    check_said(EXPERIMENT, f"All {len(study().runs)} runs are complete")
    check_said(PROJECT / "README.md", f"experiment of {len(study().runs)} runs varies all changes")
    assert [run.point.key for run in study().unlearned] == ["001", "082"]
    speed = fit_speed(study().design, study().runs)
    check_said(EXPERIMENT, f"typically within {100 * speed.error:.0f}%")


def test_what_the_study_found_follows_from_its_model():
    length = mean_effect("epochs", -1, 1)
    fast, fast_long = (mean_effect("lr", 0, 1, epochs) for epochs in (-1, 1))
    mild, mild_long = (mean_effect("augmentation", -1, 1, epochs) for epochs in (-1, 1))
    for row, effect in {
        "40 epochs instead of 10": length,
        "learning rate 5.6e-3 instead of 2e-3, in 10 epochs": fast,
        "mild augmentation instead of light, in 10 epochs": mild,
        "layer scale 10⁻⁶": mean_effect("layer_scale", -1, 1),
        "trunc_normal 0.02 instead of PyTorch's initialization": mean_effect("init", -1, 1),
    }.items():
        check_said(EXPERIMENT, f"| {row} | {in_table(effect)} |")
    for effect in (fast_long, mild_long):
        check_said(EXPERIMENT, f"| the same, in 40 epochs | {in_table(effect)} |")
    orders = {w.change.name: w.effect for w in Effects(study().model).worth("all orders")}
    norm, kernel = orders.pop("layer_norm"), orders.pop("kernel_size")
    check_said(EXPERIMENT, f"| layer norm, over all orders, in 40 epochs | {in_table(norm)} |")
    check_said(EXPERIMENT, f"| kernel size 7, likewise | {in_table(kernel)} |")
    assert norm.points < kernel.points < min(effect.points for effect in orders.values())
    others = [effect.points for effect in orders.values()]
    check_said(
        EXPERIMENT,
        f"| between {signed(min(others), 1)} and {signed(max(others), 1)}, each interval includes",
    )
    assert all(effect.low < 0 < effect.high for effect in orders.values())
    assert fast_long.low < 0 < fast_long.high
    assert {w.verdict for w in Effects(study().model).worth("all orders")} == {"inconclusive"}
    check_said(PROJECT / "README.md", f"four times as long gains {length.points:.1f} points")


def test_what_is_said_of_single_networks_follows_from_the_model():
    effects = Effects(study().model)
    found = [w.effect for view in ("alone", "in place") for w in effects.worth(view) if w.effect]
    halves = [effect.high - effect.points for effect in found]
    short, long = (
        study().model.run_std(epochs=epochs, lr=lr) for epochs, lr in ((10, 5.6e-3), (40, 2e-3))
    )
    check_said(
        EXPERIMENT,
        f"known to ±{min(halves):.1f} to ±{max(halves):.1f} points",
        f"have a standard deviation of {short:.1f} points after 10 epochs at 5.6e-3 and of "
        f"{long:.1f} after 40 at 2e-3",
    )
    pair = {"inverted_bottleneck", "move_up_depthwise"}
    (one,) = (i for i in effects.interactions() if {i.first.name, i.second.name} == pair)
    low, points, high = -one.effect.high, -one.effect.points, -one.effect.low
    check_said(
        EXPERIMENT, f"worth {points:.1f} points less together than apart ({low:.1f} to {high:.1f})"
    )


def test_the_saved_model_had_not_seen_the_last_held_out_runs():
    saved = read_model(MODELS / "small_data.json", study().design)
    last = [run for run in study().runs if run.point.key in LAST_HELD_OUT]
    found = judge(saved, last)
    assert (found.runs, found.coverage) == (7, 1.0)
    check_said(EXPERIMENT, f"misses these seven by {found.rmse:.1f} points")
    every, complete = judge(saved, study().runs), study()
    check_said(
        EXPERIMENT,
        f"fitted to {saved.runs} runs",
        f"On all {every.runs}, the error is {every.rmse:.1f} points and "
        f"{100 * every.coverage:.0f}% are inside",
        f"has an error of {complete.judgement.rmse:.1f} points there, and passes the test of lack "
        f"of fit (p = {complete.model.pure_error.lack_of_fit_p:.2f})",
    )


@cache
def confirmation(model: str = "small_data_complete") -> list[Confirmation]:
    """The runs of the design ``confirmation``, with the predictions of a saved model."""
    saved = read_model(MODELS / f"{model}.json", study().design)
    design = read_design(DESIGNS / "confirmation.json")
    return list(confirmations(saved, [design], read_runs(ROOT.parent).points))


def test_the_model_saved_last_is_that_of_all_runs():
    saved = read_model(MODELS / "small_data_complete.json", study().design)
    np.testing.assert_allclose(saved.coefficients, study().model.coefficients, atol=0.02)
    assert saved.runs == study().model.runs == study().planned - 2


def test_the_table_of_the_confirmation_has_its_scores_and_predictions():
    for one in confirmation():
        known = one.prediction
        predicted = f"{known.top1:.1f} ({known.low:.1f} to {known.high:.1f})" if known else "–"
        scores = "".join(f" {score:.2f} |" for score in one.scores)
        check_said(EXPERIMENT, f"| {one.step} | {one.epochs} | {one.lr:g} | {predicted} |{scores}")
    planned = len(read_design(DESIGNS / "confirmation.json").points)
    assert sum(len(one.scores) for one in confirmation()) == planned


def path(epochs: int) -> dict[str, float]:
    """Mean top-1 of the steps that confirmation runs trained for ``epochs``."""
    return {one.step: fmean(one.scores) for one in confirmation() if one.epochs == epochs}


def test_what_is_said_of_the_confirmed_path_follows_from_its_runs():
    short, medium, long = path(10), path(40), path(120)
    start, *_, last = short
    best, best_medium = (max(scores, key=scores.__getitem__) for scores in (short, medium))
    lowest = short["Depthwise convolution"]
    *_, before, last_but_one, layer_norm = medium
    late = [one for one in confirmation() if one.step in (last_but_one, layer_norm)]
    missed = [one.prediction.top1 - fmean(one.scores) for one in late if one.epochs == 40]
    check_said(
        EXPERIMENT,
        f"{short[start] - short[last]:.1f} points behind ResNet-50 with the same recipe after 10 "
        f"epochs, and {long[start] - long[last]:.1f} after 120",
        f"From Depthwise convolution ({lowest:.1f}%) to {best} ({short[best]:.1f}%) it climbs by "
        f"{short[best] - lowest:.1f} points",
        f"The last three changes lose {short[best] - short[last]:.1f}",
        f"{best_medium} is best ({medium[best_medium]:.1f}%), and {before} still has "
        f"{medium[before]:.1f}%",
        f"{last_but_one} and layer norm follow with {medium[last_but_one]:.1f} and "
        f"{medium[layer_norm]:.1f}%",
        f"they stay {fmean(missed):.1f} points below the predictions in the table",
    )
    assert {one.lr for one in late if one.epochs == 40} == {min(one.lr for one in confirmation())}
    assert (best, before, list(short)[-4]) == ("Fewer activations", best, best)
    assert 2 * (short["Batch norm to layer norm"] - short[last]) > short[best] - short[last]
    check_said(EXPERIMENT, f"{short[last]:.1f}%", f"{short[start]:.1f}%")
    for file in (EXPERIMENT, PROJECT / "README.md"):
        check_said(file, f"{long[start]:.1f}%", f"{long[last]:.1f}%")
    check_said(PROJECT / "README.md", f'stop the roadmap at "{best}"')


def test_what_is_said_of_the_confirmed_models_follows_from_the_runs():
    found, first = confirmed(confirmation()), confirmed(confirmation("small_data"))
    (worst,) = (one for one in confirmation() if one.inside == 0)
    ten = [one.prediction for one in confirmation("small_data") if one.epochs == 10]
    check_said(
        EXPERIMENT,
        f"{found.inside} of the {found.runs} scores that it predicts are inside their intervals, "
        f"with an error of {found.rmse:.1f} points",
        f"{worst.prediction.top1 - fmean(worst.scores):.1f} points below the prediction",
        f"misses by {first.rmse:.1f} points, with all scores inside; in 10 epochs its intervals "
        f"span {fmean(one.high - one.low for one in ten):.0f} points",
    )
    assert (worst.step, worst.epochs, first.inside) == ("Separate downsampling", 10, first.runs)


def test_what_is_said_of_the_runs_trained_last_follows_from_them():
    """They were trained after the complete model had been saved."""
    errors: dict[str, list[float]] = {}
    by_rate: dict[float, list[float]] = {}
    for name in ("small_data_complete", "small_data"):
        for one in confirmation(name):
            if one.epochs != 40:
                continue
            for seed, score in enumerate(one.scores):
                error = score - one.prediction.top1
                if name == "small_data_complete":
                    by_rate.setdefault(one.lr, []).append(error)
                if (one.step, seed) not in TRAINED_BEFORE:
                    assert one.prediction.low <= score <= one.prediction.high
                    errors.setdefault(name, []).append(error)
    new, first = (float(np.sqrt(np.mean(np.square(found)))) for found in errors.values())
    count = len(errors["small_data"])
    check_said(
        EXPERIMENT,
        f"before {count} runs of 40 epochs were trained: all {count} are inside its intervals, "
        f"with an error of {new:.1f} points",
        f"does better there ({first:.1f} points)",
        f"predicts {-fmean(by_rate[min(by_rate)]):.1f} points too much at the lowest rate and "
        f"{fmean(by_rate[max(by_rate)]):.1f} too little at the highest",
    )


def test_what_is_said_of_the_laptops_study_follows_from_its_runs():
    design = read_design(DESIGNS / "digits.json")
    found = open_experiment(design, of_data(read_runs(ROOT.parent).points, "digits"))
    assert len(found.runs) == len(design.points)
    assert {w.verdict for w in Effects(found.model).worth("in place")} == {"inconclusive"}
    assert found.model.pure_error.lack_of_fit_p > 0.05
    check_said(
        EXPERIMENT,
        f"On the digits, the error is {found.judgement.rmse:.1f} points and the test passes",
    )


def test_the_table_of_forms_has_the_measured_errors():
    table = pd.read_csv(ROOT.parents[1] / "measured" / "study_models.csv")
    titles = {
        "quasi_binomial": "quasi-binomial",
        "log_odds": "linear in log-odds, equal variance there",
        "points": "linear in points, equal variance",
    }
    for form, title in titles.items():
        errors = table[table["form"] == form]["rmse"]
        check_said(EXPERIMENT, f"| {title} | {' | '.join(f'{error:.2f}' for error in errors)} |")
    of_form = {form: list(rows.itertuples()) for form, rows in table.groupby("form")}
    digits, small = of_form["shrunk"]
    check_said(
        EXPERIMENT,
        f"by {digits.rmse:.2f} points on the digits and by {small.rmse:.2f} on `small_data`",
        f"contain {100 * digits.coverage:.0f}% and {100 * small.coverage:.0f}% of the scores",
        f"miss those of `small_data` by {of_form['shrunk_by_length'][1].rmse:.2f} points; with a "
        f"variance that depends on neither, by {of_form['shrunk_equal_variance'][1].rmse:.2f}",
    )
