"""The table of an analysis: a row per step, with costs, seconds and curves."""

from __future__ import annotations

import pytest
from ablations import STEADY, read, result, shifted
from fake_runs import write_ablation, write_run

from roadmap.analysis.significance import seeds_needed
from roadmap.analysis.table import ablation_table, curve_table, rows
from roadmap.analysis.verdict import GAIN
from roadmap.charts.curves import mean_curves
from roadmap.tables.results import roadmap_table


def test_costs_stand_beside_the_accuracy(tmp_path):
    write_ablation(tmp_path, {"kernel_7": STEADY})
    (row,) = rows(read(tmp_path))
    assert row["gflops"] == pytest.approx(roadmap_table("resnet50").loc["kernel_7", "gflops"])
    assert (row["paper_top1"], row["seconds"], row["seeds"]) == (80.57, 30.0, "0 1 2 3 4")


def test_slow_runs_do_not_make_a_step_slow(tmp_path):
    write_ablation(tmp_path, {"kernel_7": STEADY})
    for seed in (0, 2):
        slow = tmp_path / "tiny" / f"resnet50-kernel_7-seed{seed}" / "metrics.csv"
        slow.write_text(slow.read_text().replace(",10.0\n", ",50.0\n"))
    assert result(read(tmp_path), "kernel_7").seconds == 30.0


def seconds(ablation):
    return {found.step.key: found.seconds for found in ablation.steps}


def test_seconds_are_of_the_machine_that_trained_most_steps(tmp_path):
    write_run(tmp_path, "kernel_5", 0, epochs=3)
    write_run(tmp_path, "gelu", 0, epochs=3)
    assert read(tmp_path).not_timed == ()
    write_run(tmp_path, "kernel_7", 0, device="NVIDIA A100")
    for seed in (1, 2, 3):
        set_seconds(write_run(tmp_path, "gelu", seed, device="NVIDIA A100"), 7.0)
    ablation = read(tmp_path)  # two steps each, and more runs on the A100
    assert str(ablation.timed_on) == "NVIDIA A100, eager"
    assert list(map(str, ablation.not_timed)) == ["NVIDIA H200, eager"]
    assert seconds(ablation) == {"kernel_5": None, "kernel_7": 30.0, "gelu": 21.0}
    write_run(tmp_path, "kernel_9", 0)
    ablation = read(tmp_path)
    assert str(ablation.timed_on) == "NVIDIA H200, eager"
    assert seconds(ablation) == {"kernel_5": 30.0, "kernel_7": None, "kernel_9": 30.0, "gelu": 30.0}
    table = ablation_table(ablation)
    without = [False, True, False, False]
    assert list(table["seconds"].isna()) == list(table["timed_on"].isna()) == without


def test_a_machine_is_also_how_it_was_used(tmp_path):
    for seed in (0, 1):
        write_run(tmp_path, "gelu", seed, compiled=True, processes=4)
    write_run(tmp_path, "gelu", 2)
    assert str(read(tmp_path).timed_on) == "4 × NVIDIA H200, compiled"
    assert len(read(tmp_path).not_timed) == 1


def set_seconds(folder, epoch_seconds):
    metrics = folder / "metrics.csv"
    metrics.write_text(metrics.read_text().replace(",10.0\n", f",{epoch_seconds}\n"))


def test_the_table_has_numbers_where_figures_are_absent(tmp_path):
    write_ablation(tmp_path, {"kernel_7": [70.0], "gelu": [71.0]})
    table = ablation_table(read(tmp_path))
    assert list(table.index) == ["kernel_7", "gelu"]
    assert table["change_low"].dtype == float
    assert table.loc["gelu", "change"] == 1.0
    assert table["p"].isna().all()


def test_a_row_has_every_figure_of_its_step(tmp_path):
    write_ablation(tmp_path, {"kernel_5": [70.0], "kernel_7": STEADY, "kernel_9": shifted(0.1)})
    write_ablation(tmp_path, {"gelu": shifted(1)})
    ablation = read(tmp_path)
    found = result(ablation, "gelu")
    change, interval = found.change, found.change.interval
    first, untested, _, row = rows(ablation)
    assert row == {
        "data": "tiny",
        "roadmap": "resnet50",
        "number": 13,
        "key": "gelu",
        "title": "ReLU to GELU",
        "group": "Micro design",
        "adopted": True,
        "n": 5,
        "seeds": "0 1 2 3 4",
        "top1": found.top1,
        "top1_std": found.std,
        "top1_low": found.interval.low,
        "top1_high": found.interval.high,
        "previous": "kernel_7",
        "change": change.points,
        "change_low": interval.low,
        "change_high": interval.high,
        "p": interval.p,
        "p_holm": change.p,
        "verdict": GAIN,
        "seeds_needed": change.seeds_needed,
        "paper_top1": 80.62,
        "paper_change": 0.05,
        "gflops": found.gflops,
        "seconds": 30.0,
        "timed_on": "NVIDIA H200, eager",
    }
    assert change.p == pytest.approx(2 * interval.p)
    for tested in ablation.tested:
        points, std = tested.change.points, tested.change.interval.std
        assert tested.change.seeds_needed == seeds_needed(points, std, 4, 0.05 / 2)
    unknown = {"top1_std", "top1_low", "top1_high", "change"}
    untold = {"change_low", "change_high", "p", "p_holm", "seeds_needed"}
    assert {name for name, value in untested.items() if value is None} == untold
    assert {name for name, value in first.items() if value is None} == {
        *(unknown | untold),
        "verdict",
    }


def test_seeds_are_in_the_order_of_their_numbers(tmp_path):
    for seed in (2, 10):
        write_run(tmp_path, "gelu", seed, 70 + seed)
    assert result(read(tmp_path), "gelu").seeds == (2, 10)
    assert rows(read(tmp_path))[0]["seeds"] == "2 10"


def test_texts_of_the_table_stay_texts_and_all_else_is_numbers(tmp_path):
    write_ablation(tmp_path, {"kernel_7": [70.0], "gelu": [71.0]})
    table = ablation_table(read(tmp_path))
    texts = [
        "data",
        "roadmap",
        "key",
        "title",
        "group",
        "adopted",
        "seeds",
        "previous",
        "verdict",
        "timed_on",
    ]
    assert [name for name in table if table[name].dtype != float] == [
        name for name in table if name in texts
    ]
    assert set(texts) <= set(table)


def test_curves_are_of_the_average_only_where_steps_are_judged_by_it(tmp_path):
    write_run(tmp_path, "gelu", top1=70.0, ema_top1=75.0)
    raw = read(tmp_path)
    assert curve_table(raw.roadmap, raw.runs)["value"].iloc[-1] == 70.0
    folder = write_run(tmp_path, "ema", top1=70.0, ema_top1=75.0, roadmap="torchvision_recipe")
    header, first, *others = (folder / "metrics.csv").read_text().splitlines()
    cells = first.split(",")
    cells[header.split(",").index("ema_top1")] = ""  # not finite in the first epoch
    (folder / "metrics.csv").write_text("\n".join([header, ",".join(cells), *others, ""]))
    averaged = read(tmp_path, "torchvision_recipe")
    table = curve_table(averaged.roadmap, averaged.runs)
    assert list(table["epoch"]) == [2, 3]
    assert table["value"].iloc[-1] == 75.0
    assert len(curve_table(averaged.roadmap, averaged.runs, "lr")) == 3


def test_curves_leave_out_epochs_without_a_figure(tmp_path):
    for seed, top1 in ((0, 70.0), (1, 72.0)):
        folder = write_run(tmp_path, "gelu", seed, top1)
        header, *lines = (folder / "metrics.csv").read_text().splitlines()
        place = header.split(",").index("top1")
        for number, line in enumerate(lines[: 1 + seed]):  # not finite in 1 and 2 epochs
            cells = line.split(",")
            cells[place] = ""
            lines[number] = ",".join(cells)
        (folder / "metrics.csv").write_text("\n".join([header, *lines, ""]))
    write_run(tmp_path, "kernel_7", 5, 60.0)
    ablation = read(tmp_path)
    table = curve_table(ablation.roadmap, ablation.runs)
    assert list(table["key"]) == ["kernel_7"] * 3 + ["gelu"] * 3
    assert list(table["seed"]) == [5] * 3 + [0, 0, 1]
    assert list(table["place"]) == [0] * 3 + [0, 0, 1]
    assert list(table["epoch"]) == [1, 2, 3, 2, 3, 3]
    assert set(table["title"][3:]) == {"ReLU to GELU"}
    assert list(mean_curves(table)["value"][3:]) == [table["value"][3], 71.0]
