"""The plan of a sweep, and the runs that are in its folders already."""

from __future__ import annotations

import json
import re
from dataclasses import replace

import pytest
from cases import cats_and_dogs, dogs_and_kittens
from sweeps import planned, training_in, write_run

from roadmap.errors import RefusedError
from roadmap.steps import ROADMAPS
from roadmap.study.design import DESIGNS, read_design
from roadmap.study.space import StudyError
from roadmap.sweep import estimate as estimating
from roadmap.sweep.folders import check_folders
from roadmap.sweep.plan import (
    PlannedRun,
    design_runs,
    notes_of,
    plan_runs,
)
from roadmap.train.data.sources import open_source
from roadmap.train.settings import trained_config


def test_every_step_with_the_first_seed_comes_first(tmp_path):
    runs = planned(tmp_path, steps=(), seeds=(3, 1))
    keys = list(ROADMAPS["resnet50"].keys)
    assert [run.settings.seed for run in runs] == [3] * len(keys) + [1] * len(keys)
    assert [run.settings.step for run in runs[: len(keys)]] == keys
    assert runs[0].folder == tmp_path / "resnet50-baseline-seed3"
    assert runs[0].settings.recipe.optimizer == "sgd"
    assert runs[1].settings.recipe.optimizer == "adamw"
    assert {run.settings.recipe.epochs for run in runs} == {4}


def test_steps_are_chosen_and_skipped_in_the_roadmaps_order(tmp_path):
    chosen = planned(tmp_path, steps=("gelu", "baseline", "kernel_7"), skip=("baseline",))
    assert [run.settings.step for run in chosen[:2]] == ["kernel_7", "gelu"]


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"steps": ("kernel7",)}, "Did you mean 'kernel_7'"),
        ({"skip": ("kernel_7", "gelu")}, "leave no step"),
        ({"seeds": (0, 1, 0)}, "--seeds has 0 twice"),
        ({"seeds": (0, 2**64)}, "use a whole number from 0 to 18446744073709551615"),
        ({"changes": {"epochs": 0}}, "epochs is 0"),
    ],
)
def test_a_wrong_plan_is_refused(arguments, sentence, tmp_path):
    with pytest.raises(RefusedError, match=sentence):
        planned(tmp_path, **arguments)


def test_a_design_with_a_seed_that_no_generator_takes_is_refused(tmp_path):
    text = (DESIGNS / "init_check.json").read_text()
    (tmp_path / "design.json").write_text(text.replace('"seed": 0', f'"seed": {2**64}', 1))
    with pytest.raises(StudyError, match=f"seed is {2**64}; use a whole number from 0"):
        read_design(tmp_path / "design.json")


def test_a_step_whose_change_is_set_for_all_is_named(tmp_path):
    steps = ("trivial_augment", "long_training", "random_erasing")
    options = {"recipe": None, "changes": {"epochs": 30}, "image_size": None}
    runs = plan_runs("torchvision_recipe", steps, (), (0, 1), tmp_path, **options)
    said = [note for note in notes_of(runs) if "same as" in note]
    assert said == [
        "long_training is the same as trivial_augment here, because an option sets for all steps "
        "what it changes"
    ]
    assert not [note for note in notes_of(planned(tmp_path, ())) if "same as" in note]


# -- what is in the folders already -------------------------------------------------------------


def facts_of(run: PlannedRun, **more: object) -> dict[str, object]:
    """run.json of ``run``, whose data has 7 classes, with ``more`` in place of some."""
    settings = run.settings
    facts = {name: getattr(settings, name) for name in ("roadmap", "step", "seed", "scale")}
    facts |= {name: getattr(settings, name) for name in ("micro_batch", "sync_batch_norm")}
    facts |= {"precision": "float32", "device_type": "cpu", "compiled": False, "processes": 1}
    config = trained_config(settings).replace(num_classes=7).to_dict()
    return json.loads(json.dumps(facts | {"config": config})) | more


@pytest.mark.parametrize("status", ["finished", "interrupted", "running", "failed"])
def test_a_run_of_the_same_settings_is_the_sweeps(tmp_path, status):
    run, *_ = planned(tmp_path)
    same = replace(
        run.settings, workers=3, compiled=True, trackers=("tensorboard",), checkpoint_every=1.0
    )
    for more in ({}, {"micro_batch": 4096}, {"sync_batch_norm": False}, {"versions": {}}):
        write_run(run, status, **facts_of(run, **more))
        check_folders([replace(run, settings=same)], device="cpu")
    layers, *_ = planned(tmp_path, steps=("layer_norm",))
    write_run(layers, status, **facts_of(layers, micro_batch=64, sync_batch_norm=False))
    check_folders([layers], device="cpu")  # without batch norm, both change nothing


@pytest.mark.parametrize("status", ["finished", "interrupted", "running", "failed"])
@pytest.mark.parametrize(
    ("more", "sentence"),
    [
        ({"scale": "pocket"}, "--scale 'pocket' before, 'full' now"),
        ({"step": "gelu"}, "--step 'gelu' before, 'kernel_7' now"),
        ({"micro_batch": 64}, "--micro-batch 64 before, None now"),
        (
            {"processes": 2, "sync_batch_norm": False},
            "sync_batch_norm False before, True now",
        ),
        ({"seed": 5}, "--seed 5 before, 0 now"),
    ],
)
def test_a_run_of_other_settings_is_named_before_any_starts(tmp_path, status, more, sentence):
    run, *_ = planned(tmp_path)
    write_run(run, status, **facts_of(run, **more))
    with pytest.raises(RefusedError, match=re.escape(sentence)) as refused:
        check_folders([run], device="cpu")
    state = "finished" if status == "finished" else "stopped"
    assert f"{run.name} ({state}): {sentence}. Use another --output" in str(refused.value)


def test_machine_and_precision_of_a_finished_run_matter_where_one_is_asked_for(tmp_path):
    run, *_ = planned(tmp_path)
    write_run(run, **facts_of(run))
    check_folders([run], device="cuda")
    for asked in ({"device": "cuda"}, {"precision": "bf16"}):
        with pytest.raises(RefusedError, match=r"'(cpu|float32)' before"):
            check_folders([replace(run, settings=replace(run.settings, **asked))], device="cuda")
    write_run(run, "interrupted", **facts_of(run))
    check_folders([run])  # a cluster's machines are not known
    with pytest.raises(RefusedError, match="--precision 'float32' before, 'bf16' now; --device"):
        check_folders([run], device="cuda")


def test_all_of_them_are_named_with_the_way_out(tmp_path):
    root = tmp_path / "runs" / "pets"
    runs = planned(root)
    before = planned(root, changes={"epochs": 30, "mixup": 0.0})
    for run, status in zip(before, ("finished", "interrupted", "running"), strict=False):
        write_run(run, status, **facts_of(run))
    (tmp_path / "runs-2" / "pets").mkdir(parents=True)
    with training_in(runs[2].folder) as process, pytest.raises(RefusedError) as refused:
        try:
            check_folders(runs, device="cpu")
        finally:
            process.stdin.close()
    assert str(refused.value) == (
        f"{root} holds 3 runs with other settings; nothing was started. "
        f"{runs[0].name} (finished), {runs[1].name} (stopped), {runs[2].name} (being trained): "
        "--epochs 30 before, 4 now; --warmup-epochs 2 before, 1 now; --mixup 0.0 "
        f"before, 0.8 now. Use another --output, such as {tmp_path}/runs-3/pets, use the same "
        "settings, or delete those runs"
    )


def test_runs_of_a_design_that_was_changed_are_named(tmp_path):
    design = read_design(DESIGNS / "init_check.json")
    runs = design_runs(design, tmp_path)
    write_run(runs[0], **facts_of(runs[0], step=None))
    check_folders(runs)
    other = trained_config(runs[0].settings).replace(init="kaiming").to_dict()
    write_run(runs[0], **facts_of(runs[0], step=None, config=other))
    with pytest.raises(RefusedError, match=r"config\.init 'kaiming' before, 'default' now"):
        check_folders(runs)


@pytest.mark.parametrize("content", ["", "[]", "null", '{"status": 1}', '{"recipe": 3}'])
def test_what_is_no_record_is_left_to_the_run(tmp_path, content):
    run, *_ = planned(tmp_path)
    run.folder.mkdir(parents=True)
    (run.folder / "run.json").write_text(content)
    check_folders([run], device="cpu")


def test_a_run_on_other_data_is_not_taken_for_this_one(tmp_path):
    (run, *_) = planned(tmp_path)
    pets = open_source(cats_and_dogs(tmp_path / "pets"))
    kittens = open_source(dogs_and_kittens(tmp_path / "kittens"))
    data = {"class_names": ["dog", "cat"], "train_images": 24, "val_images": 10}
    for status in ("finished", "interrupted"):
        write_run(run, status, data=data)
        check_folders([run], pets)
        with pytest.raises(RefusedError, match=r"data\.class_names .*cat.* before, .*kitten.* now"):
            check_folders([run], kittens)
        write_run(run, status, data=data | {"train_images": 23})
        with pytest.raises(RefusedError, match=r"data\.train_images 23 before, 24 now"):
            check_folders([run], pets)
        accepting = replace(run, settings=replace(run.settings, accept_changed_data=True))
        check_folders([accepting], pets)


def test_the_plan_takes_speed_from_the_table_and_leaves_out_what_is_done(tmp_path, monkeypatch):
    row = {"source": "resnet50", "mode": "training", "device_name": "A", "image_size": "224"}
    table = [
        row | {"name": "kernel_7", "compiled": "False", "images_per_s": "100"},
        row | {"name": "kernel_7", "compiled": "True", "images_per_s": "200"},
        row | {"name": "gelu", "compiled": "False", "images_per_s": "50"},
    ]
    monkeypatch.setattr(estimating, "_training_speeds", lambda: table)
    runs = planned(tmp_path, image_size=112)
    found = estimating.estimate(runs, "A", 1000)
    # 4 epochs of 1,000 images at four times the speed of 224 pixels, two seeds
    hours = 2 * (4000 / 400 + 4000 / 200) / 3600
    assert found.hours == {"A": estimating.Hours(pytest.approx(hours), ())}
    write_run(runs[0])
    again = estimating.estimate(runs, "A", 1000)
    assert (again.runs, again.finished) == (4, 1)
    assert again.hours["A"].known == pytest.approx((4000 / 400 + 2 * 4000 / 200) / 3600)
    assert 0 < again.kept < again.disk < found.disk
    compiled = planned(tmp_path, image_size=112, compiled=True)
    assert estimating.estimate(compiled, "A", 1000).hours["A"].known < again.hours["A"].known
    assert estimating.estimate(runs, "B", 1000).hours == {}
    del table[2]  # a step that is not in the table is named, and the others are counted
    some = estimating.estimate(runs, "A", 1000).hours["A"]
    assert some == estimating.Hours(pytest.approx(4000 / 400 / 3600), ("gelu",))
