"""Training time is estimated from the runs' own speed, within what is said."""

from dataclasses import replace

import numpy as np
import pytest
from studies import made_runs, save_runs, small_design, truth

from roadmap.runs import read_runs
from roadmap.runs.metrics import METRICS
from roadmap.study.atlas import Limits, atlas
from roadmap.study.design import DESIGNS, read_design
from roadmap.study.effects import Effects, EffectSettings
from roadmap.study.experiment import of_data, open_experiment
from roadmap.study.model import finished
from roadmap.study.space import StudyError, network_cost
from roadmap.study.speed import LEAST_RUNS, fit_speed


@pytest.fixture(scope="module")
def design():
    return small_design()


def microseconds(design, levels):
    """A made law: time per image with an effect, an interaction and the power of the cost."""
    cost = network_cost(design.space.network(levels)).gmacs
    slow = 2.0 if levels["depthwise_conv"] == levels["gelu"] == "on" else 1.0
    return 30 * slow * cost**0.5


@pytest.fixture(scope="module")
def runs(design, tmp_path_factory):
    """Runs with the made law; the first of each run's epochs is four times as slow."""
    root = tmp_path_factory.mktemp("speed")
    save_runs(root, design, made_runs(design, truth(design), 0.5))
    for run in read_runs(root).points:
        path = run.path / METRICS
        header, *lines = path.read_text().splitlines()
        place = header.split(",").index("images_per_s")
        speed = 1e6 / microseconds(design, run.point.levels)
        cells = [line.split(",") for line in lines]
        for number, cell in enumerate(cells):
            cell[place] = str(speed / 4 if number == 0 else speed)
        path.write_text("\n".join([header, *(",".join(cell) for cell in cells)]) + "\n")
    return read_runs(root).points


def test_a_made_law_is_recovered_for_networks_that_were_not_timed(design, runs):
    speed = fit_speed(design, runs)
    effects = Effects(open_experiment(design, runs).model, EffectSettings({}, None, 20))
    found = atlas(effects, speed=speed)
    right = [microseconds(design, levels) for levels in found.levels]
    seconds = 60 * found.minutes / 20
    np.testing.assert_allclose(seconds, 1e-6 * speed.images * np.array(right), rtol=0.05)
    assert speed.error < 0.05
    assert speed.epoch_seconds_of(found.levels[3]) == pytest.approx(seconds[3])


def test_the_best_network_trains_within_the_limit_on_time(design, runs):
    effects = Effects(open_experiment(design, runs).model)
    found = atlas(effects, speed=fit_speed(design, runs))
    limit = float(np.median(found.minutes))
    best = found.best(Limits(minutes=limit))
    assert found.minutes[best] <= limit
    assert found.top1[best] == found.top1[found.minutes <= limit].max()
    with pytest.raises(StudyError, match=r"shortest training [\d.]+ minutes"):
        found.best(Limits(minutes=1e-9))
    with pytest.raises(StudyError, match="time of these networks is unknown"):
        atlas(effects).best(Limits(minutes=limit))


def test_only_runs_of_one_machine_count(design, runs):
    others = [replace(run, device="CPU") for run in runs[: len(runs) - LEAST_RUNS + 1]]
    kept = runs[len(others) :]
    few = [replace(run, device=f"GPU {i}") for i, run in enumerate(runs)]
    assert fit_speed(design, [*others, *kept]).machine.device == "CPU"
    with pytest.raises(StudyError, match=f"1 run of .* at least {LEAST_RUNS} are needed"):
        fit_speed(design, few)


def test_the_committed_study_predicts_runs_that_it_has_not_seen():
    design = read_design(DESIGNS / "small_data.json")
    pairs = finished(design, of_data(read_runs().points, "tiny-imagenet-100"))
    unseen = pairs[::6]
    speed = fit_speed(design, [run for pair in pairs if pair not in unseen for run in pair[1:]])
    found = [speed.epoch_seconds_of(point.levels) for point, _ in unseen]
    taken = [run.seconds / run.epochs for _, run in unseen]
    errors = np.abs(np.log(np.array(found) / taken))
    assert np.median(errors) < 0.12
    assert speed.error < 0.15
