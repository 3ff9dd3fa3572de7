"""run.json: what is written is read again, and what anybody else wrote is checked."""

import dataclasses
import json
import os
import pickle
import re

import pytest
from fake_runs import damaged, write_run

from roadmap.recipes import RECIPES
from roadmap.runs import Run, Unreadable, read_run
from roadmap.runs.record import (
    IDENTITY,
    SCHEMA,
    RecordError,
    RunRecord,
    data_conventions,
    read_record,
    write_record,
)
from roadmap.tables.results import RESULTS
from roadmap.train.settings import Settings, trained_config

ROOT = RESULTS.parent


def content_of(folder):
    return json.loads((folder / "run.json").read_text())


@pytest.fixture
def content(tmp_path):
    """run.json of a finished run of a design, with everything that it can have."""
    point = {"design": "d", "key": "001", "role": "fit", "levels": {"gelu": "on"}}
    change = {"step": 3, "date": "2026-01-01", "before": {"sha256": "0"}, "after": {"sha256": "1"}}
    found = content_of(write_run(tmp_path, energy_joules=1.5))
    found["data"] |= {"class_names": ["cat", "dog"], "train_split": "train", "val_split": "test"}
    found["data"]["exif_orientation"] = True
    return {"schema": SCHEMA, **found, "step": None, "point": point, "data_changes": [change]}


def test_a_record_is_read_as_it_was_written(content, tmp_path):
    record = RunRecord.from_json(content)
    assert record.to_json() == content
    write_record(tmp_path, record)
    assert read_record(tmp_path) == record
    assert hash(read_record(tmp_path)) == hash(record)
    assert pickle.loads(pickle.dumps(record)) == record


def test_every_committed_record_is_read_and_keeps_what_it_says():
    folders = [path.parent for path in sorted((RESULTS / "runs").glob("*/*/run.json"))]
    assert len(folders) > 150
    for folder in folders:
        before, now = content_of(folder), read_record(folder).to_json()
        data = {name: now["data"][name] for name in before["data"]}
        assert {**{name: now[name] for name in before}, "data": data} == before


def test_a_record_of_before_the_number_of_its_format_is_read(content):
    del content["schema"]
    assert RunRecord.from_json(content).to_json()["schema"] == SCHEMA


def test_a_record_of_a_later_format_is_left_alone(content):
    with pytest.raises(
        RecordError, match=rf"schema is {SCHEMA + 1}; .* reads up to {SCHEMA}\. Update"
    ):
        RunRecord.from_json(content | {"schema": SCHEMA + 1})


def test_whatever_stands_in_a_field_is_read_or_refused_in_a_sentence(content):
    """Nothing else is ever raised, and what is read can be written to any file."""
    read = 0
    for place, changed in damaged(content):
        try:
            record = RunRecord.from_json(changed)
        except RecordError as error:
            assert re.fullmatch(r"run\.json.{3,300}\.", str(error)), (place, str(error))
            str(error).encode()
        else:
            read += 1
            text = json.dumps(record.to_json(), allow_nan=False, ensure_ascii=False)
            assert len(text.encode()) < 20_000
    assert read > 50


START = {
    **dict.fromkeys(("weights", "sha256", "network", "head"), "a"),
    **{"layer_decay": 0.7, "frozen_stages": 0},
}


def test_a_run_that_fine_tunes_needs_no_step(content):
    record = RunRecord.from_json(content | {"start": START, "step": None})
    assert record.start._asdict() == START
    assert RunRecord.from_json(record.to_json()) == record
    assert "start" in record.identity()
    plain = RunRecord.from_json(content)
    assert plain.start is None
    assert "start" not in plain.to_json() | plain.identity()


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"reason": {"a": 1}}, r"run\.json: reason is \{'a': 1\}; expected a string or null\."),
        ({"seed": 2**200}, r"run.json: seed is 16\d+….*\d; expected a number between .*\."),
        ({"start": 3}, r"run.json: start is 3; expected an object."),
        ({"start": {"weights": "a"}}, r"run.json: start.sha256 is missing; expected a string."),
        (
            {"start": START | {"layer_decay": None}},
            r"run.json: start.layer_decay is None; expected a number.",
        ),
        (
            {"start": START | {"frozen_stages": -1}},
            r"run.json: start.frozen_stages is -1; expected an integer of at least 0.",
        ),
        ({"seed": -1}, "run.json: seed is -1; expected an integer of at least 0."),
        ({"device": "\ud800"}, r"run.json: device is '\\ud800'; expected valid Unicode."),
        ({"\ud800": 1}, r"run.json: the name of a field is '\\ud800'; expected valid Unicode."),
        (
            {"wall_seconds": float("inf")},
            r"run.json: wall_seconds is inf; expected a number between -2\*\*64 and 2\*\*64.",
        ),
        ({"date": "2" * 1000}, "run.json: date is '2+…2+'; expected at most 400 characters."),
        ({"versions": {"torch": 2}}, "run.json: versions.torch is 2; expected a string."),
        ({"data_changes": [1]}, "run.json: data_changes contains 1; expected objects."),
        (
            {"data_changes": [{"before": {}}]},
            "run.json: data_changes.after is missing; expected an object.",
        ),
    ],
)
def test_the_field_is_named(content, fields, sentence):
    with pytest.raises(RecordError) as caught:
        RunRecord.from_json(content | fields)
    assert re.fullmatch(sentence, str(caught.value)), caught.value


@pytest.mark.parametrize("text", ["[]", "null", "1", '"a"', '{"a":' * 100_000, "1" * 5000])
def test_a_file_that_holds_no_record(tmp_path, text):
    (tmp_path / "run.json").write_text(text)
    with pytest.raises(RecordError, match=r"is not a JSON object\.|is not valid JSON"):
        read_record(tmp_path)


@pytest.mark.skipif(os.name != "posix", reason="pipes and devices")
@pytest.mark.parametrize("name", ["run.json", "metrics.csv", ".lock", "class_names.json"])
def test_nobody_waits_at_a_pipe(tmp_path, name):
    folder = write_run(tmp_path, epochs=3, done=2)
    if name == "class_names.json":
        content = content_of(folder)
        content["data"]["class_names"] = name
        (folder / "run.json").write_text(json.dumps(content))
    (folder / name).unlink(missing_ok=True)
    os.mkfifo(folder / name)
    found = read_run(folder)
    if name in ("run.json", "metrics.csv"):
        assert found.why == f"{name} cannot be read: It is not a regular file."
    else:
        assert isinstance(found, Run)


@pytest.mark.skipif(os.name != "posix", reason="pipes and devices")
def test_a_device_is_not_read_to_its_end(tmp_path):
    (tmp_path / "run.json").symlink_to("/dev/zero")
    assert read_run(tmp_path).why == "run.json cannot be read: It is not a regular file."


def test_a_file_beyond_all_records_is_not_read(tmp_path):
    with (tmp_path / "run.json").open("wb") as file:
        file.truncate(2**30)  # takes no space
    found = read_run(tmp_path)
    assert isinstance(found, Unreadable)
    assert found.why == "run.json cannot be read: It is larger than 16 MB."


@pytest.mark.parametrize("count", [3, 100, 101, 22_000])
def test_class_names_are_kept_and_the_file_stays_readable(content, tmp_path, count):
    names = [f"n{number:08d}" for number in range(count)]
    content["data"]["class_names"] = names
    record = RunRecord.from_json(content)
    write_record(tmp_path, record)
    assert read_record(tmp_path) == record
    text = (tmp_path / "run.json").read_text()
    assert len(text.splitlines()) < 250
    assert (names[0] in text) == (count <= 100)


def test_class_names_beside_it_may_be_lost(content, tmp_path):
    content["data"]["class_names"] = [str(number) for number in range(1000)]
    write_record(tmp_path, RunRecord.from_json(content))
    (tmp_path / "class_names.json").write_text("[")
    assert read_record(tmp_path).class_names is None


def test_the_format_is_the_first():
    """Whoever raises it sees to it that records of before are read."""
    assert SCHEMA == 1


def test_what_older_records_lack_is_as_it_was_then(content):
    kept = ("roadmap", "recipe_name", "recipe", "data", "seed", "scale", "precision", "compiled")
    kept = (*kept, "device", "processes", "versions", "date", "wall_seconds")
    old = {name: content[name] for name in kept} | {"status": "running", "step": "gelu"}
    for name in ("class_names", "train_split", "val_split", "exif_orientation"):
        del old["data"][name]
    record = RunRecord.from_json(old)
    defaults = {
        "point": None,
        "config": {},
        "class_names": None,
        "train_split": "train",
        "val_split": "val",
        "exif_orientation": False,
        "data_changes": (),
        "micro_batch": None,
        "sync_batch_norm": True,
        "device_type": None,
        "steps_per_epoch": None,
        "depthwise": None,
        "steps": 0,
        "energy_joules": None,
        "scores": {},
        "reason": None,
    }
    facts = {field.name: getattr(record, field.name) for field in dataclasses.fields(RunRecord)}
    assert facts == facts | defaults
    assert RunRecord(**{name: facts[name] for name in facts.keys() - defaults}) == record


def test_a_run_that_is_continued_shares_these_settings(content):
    names = ("roadmap", "step", "config", "recipe", "seed", "scale", "precision", "micro_batch")
    names = (*names, "sync_batch_norm", "device_type", "data")
    assert RunRecord.from_json(content).identity() == {name: content[name] for name in names}


def test_settings_record_the_fields_that_a_continued_run_shares():
    settings = Settings(recipe=RECIPES["convnext"], micro_batch=8)
    found = settings.identity(trained_config(settings), "cuda")
    assert [*found, "start"] == list(IDENTITY)  # recorded once its weights are read
    assert (found["precision"], found["micro_batch"]) == ("bf16", 8)


@pytest.mark.parametrize(
    ("data", "turned", "names"),
    [
        ({"exif_orientation": True, "class_names": ["a", "b"]}, True, ["a", "b"]),
        ({"name": "pets"}, False, None),  # of an old run
        ({"exif_orientation": None, "class_names": [1]}, False, None),
        (None, False, None),
        ("pets", False, None),
    ],
)
def test_how_data_was_read_is_known_whatever_a_file_holds(data, turned, names):
    assert data_conventions(data) == (turned, names)


def test_run_json_is_parsed_in_one_module():
    scripts = [path for part in ("roadmap", "benchmarks") for path in (ROOT / part).rglob("*.py")]
    assert len(scripts) > 300
    pattern = r"json\.loads?\([^\n]*(run\.json|RECORD)|read_json\([^\n]*(run\.json|RECORD)"
    pattern += r"|\"exif_orientation\", False"
    found = [path.name for path in scripts if re.search(pattern, path.read_text(encoding="utf-8"))]
    assert found == ["record.py"]


def put(content, place, value):
    *outer, last = place.split(".")
    inner = content
    for name in outer:
        inner = inner[name]
    inner[last] = value
    return content


@pytest.mark.parametrize(
    ("place", "value"),
    [
        ("seed", 0),
        ("seed", 2**64 - 1),
        ("wall_seconds", -(2**64 - 1)),
        ("wall_seconds", None),
        ("wall_seconds", 1.5),
        ("steps", 0),
        ("processes", 1),
        ("recipe.epochs", 1),
        ("recipe.lr", 1),
        ("recipe.name", ["a", 1, 0.5, None]),
        ("data.classes", 1),
        ("data.sha256", None),
        ("device", "d" * 400),
        ("reason", "r" * 8000),
        ("scores.top1", 0),
        ("scores.top5", 100),
        ("scores.val_loss", 101),
        ("scores.ema_top1", None),
        ("micro_batch", 8),
        ("steps_per_epoch", 8),
        ("device_type", "cpu"),
        ("depthwise", "torch"),
        ("recipe_name", "convnext"),
        ("point", None),
        ("data.class_names", ["n" * 401, "m"]),
        ("data.val_images", 1),
    ],
)
def test_what_a_field_may_be(content, place, value):
    content = put(content | {"step": "gelu"}, place, value)
    written = RunRecord.from_json(content).to_json()
    for name in place.split("."):
        written = written.get(name)
    assert written == value


@pytest.mark.parametrize(
    ("place", "value"),
    [
        ("schema", "1"),
        ("seed", 2**64),
        ("seed", 1.0),
        ("wall_seconds", -(2**64)),
        ("wall_seconds", "1"),
        ("energy_joules", "1"),
        ("steps", -1),
        ("processes", 0),
        ("compiled", 1),
        ("compiled", None),
        ("sync_batch_norm", 1),
        ("micro_batch", 1.5),
        ("steps_per_epoch", 1.5),
        ("device_type", 1),
        ("depthwise", 1),
        ("recipe_name", 1),
        ("config", []),
        ("recipe.epochs", 0),
        ("recipe.train_size", 0),
        ("recipe.test_size", 0),
        ("recipe.optimizer", None),
        ("recipe.lr", "0.1"),
        ("recipe.name", {"a": 1}),
        ("recipe.name", [{"a": 1}]),
        ("data.name", None),
        ("data.sha256", 1),
        ("data.classes", 0),
        ("data.train_images", 0),
        ("data.train_split", None),
        ("data.val_split", 1),
        ("data.exif_orientation", 1),
        ("data_changes", {}),
        ("device", "d" * 401),
        ("reason", "r" * 8001),
        ("versions", []),
        ("scores.top1", 100.5),
        ("scores.top5", -0.5),
        ("scores.val_loss", "1"),
        ("point.design", 1),
        ("point.levels", []),
        ("point.levels.gelu", 1),
        ("recipe.name", ["a", {"b": 1}]),
    ],
)
def test_what_a_field_may_not_be_is_named(content, place, value):
    with pytest.raises(RecordError) as caught:
        RunRecord.from_json(put(content, place, value))
    assert str(caught.value).startswith(f"run.json: {place} is ")
    assert repr(value)[:20] in str(caught.value)


@pytest.mark.parametrize(
    ("value", "names"),
    [
        (["cat", "dog"], ["cat", "dog"]),
        ({"1": "dog", "0": "cat"}, ["cat", "dog"]),
        ({"1": "dog", "2": "cat"}, None),
        (["cat", 1], None),
        ([], None),
        ("cat", None),
        (None, None),
    ],
)
def test_class_names_are_a_list_or_by_index(content, value, names):
    content["data"]["class_names"] = value
    assert RunRecord.from_json(content).class_names == names


@pytest.mark.parametrize("status", ["running", "interrupted", "failed", "stopped"])
def test_scores_are_those_of_finished_runs(content, status):
    record = RunRecord.from_json(content | {"status": status})
    assert (record.scores, record.to_json()["scores"]) == ({}, None)
    assert "reason" not in record.to_json()
    assert RunRecord.from_json(content | {"reason": ""}).to_json()["reason"] == ""
