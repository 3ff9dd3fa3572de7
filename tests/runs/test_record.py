"""run.json: what is written is read again, and what anybody else wrote is checked."""

import json
import os
import pickle
import re

import pytest
from fake_runs import damaged, write_run

from roadmap.runs import Run, Unreadable, read_run
from roadmap.runs.record import SCHEMA, RecordError, RunRecord, read_record, write_record
from roadmap.tables.results import RESULTS


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


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"reason": {"a": 1}}, r"run\.json: reason is \{'a': 1\}; expected a string or null\."),
        ({"seed": 2**200}, r"run.json: seed is 16\d+….*\d; expected a number between .*\."),
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


@pytest.mark.parametrize("count", [3, 22_000])
def test_class_names_are_kept_and_the_file_stays_readable(content, tmp_path, count):
    names = [f"n{number:08d}" for number in range(count)]
    content["data"]["class_names"] = names
    record = RunRecord.from_json(content)
    write_record(tmp_path, record)
    assert read_record(tmp_path) == record
    text = (tmp_path / "run.json").read_text()
    assert len(text.splitlines()) < 150
    assert (names[0] in text) == (count == 3)


def test_class_names_beside_it_may_be_lost(content, tmp_path):
    content["data"]["class_names"] = [str(number) for number in range(1000)]
    write_record(tmp_path, RunRecord.from_json(content))
    (tmp_path / "class_names.json").write_text("[")
    assert read_record(tmp_path).class_names is None
