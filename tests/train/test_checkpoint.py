"""Checkpoints by themselves: whole or not there, two at most, damage noticed."""

import errno
import json

import pytest
import torch

from roadmap import files
from roadmap.errors import TrainingError
from roadmap.train.checkpoint import last_step, load_checkpoint, save_checkpoint

TENSORS = {"weights": torch.arange(6.0).reshape(2, 3).T, "step": torch.tensor(3)}


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_what_is_saved_is_loaded(tmp_path):
    state = {"history": [{"top1": 0.1, "none": None}], "seconds": 1 / 3}
    save_checkpoint(tmp_path, 7, TENSORS, state)
    loaded = load_checkpoint(tmp_path, pytest.fail)
    assert loaded.state == state
    assert all(torch.equal(loaded.tensors[name], TENSORS[name]) for name in TENSORS)
    assert loaded.tensors["step"].dtype == torch.int64


def test_the_last_two_are_kept(tmp_path):
    for step in (1, 2, 10):
        save_checkpoint(tmp_path, step, TENSORS, {"step": step})
    stems = ("step-000000002", "step-000000010")
    assert names(tmp_path) == [f"{s}.{suffix}" for s in stems for suffix in ("json", "safetensors")]
    assert last_step(tmp_path) == 10


def test_an_empty_folder_has_none(tmp_path):
    assert load_checkpoint(tmp_path / "none", pytest.fail) is None
    assert last_step(tmp_path) is None


@pytest.mark.parametrize("suffix", ["json", "safetensors"])
def test_any_changed_byte_is_noticed(tmp_path, suffix):
    save_checkpoint(tmp_path, 1, TENSORS, {"step": 1})
    save_checkpoint(tmp_path, 2, TENSORS, {"step": 2})
    path = tmp_path / f"step-000000002.{suffix}"
    whole = path.read_bytes()
    for place in range(0, len(whole), 7):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 4]) + whole[place + 1 :])
        said = []
        assert load_checkpoint(tmp_path, said.append).state == {"step": 1}
        assert "step-000000002" in said[0]


def test_the_seal_belongs_to_these_tensors(tmp_path):
    save_checkpoint(tmp_path, 1, TENSORS, {"step": 1})
    save_checkpoint(tmp_path, 2, {**TENSORS, "step": torch.tensor(4)}, {"step": 2})
    one, two = (tmp_path / f"step-00000000{n}.safetensors" for n in (1, 2))
    two.write_bytes(one.read_bytes())
    assert load_checkpoint(tmp_path, lambda _said: None).state == {"step": 1}


def test_a_missing_half_is_noticed(tmp_path):
    save_checkpoint(tmp_path, 1, TENSORS, {})
    (tmp_path / "step-000000001.safetensors").unlink()
    with pytest.raises(TrainingError, match="all checkpoints"):
        load_checkpoint(tmp_path, lambda _said: None)


def test_nothing_is_unpickled(tmp_path):
    save_checkpoint(tmp_path, 1, TENSORS, {"step": 1})
    save_checkpoint(tmp_path, 2, TENSORS, {"step": 2})
    path = tmp_path / "step-000000002"
    torch.save(TENSORS, path.with_suffix(".safetensors"))
    sealed = json.loads(path.with_suffix(".json").read_text())
    sealed["tensors_sha256"] = files_sha256(path.with_suffix(".safetensors"))
    body = {key: value for key, value in sealed.items() if key != "sha256"}
    sealed["sha256"] = sha256(json.dumps(body, sort_keys=True).encode())
    path.with_suffix(".json").write_text(json.dumps(sealed))
    said = []
    assert load_checkpoint(tmp_path, said.append).state == {"step": 1}
    assert "step-000000002 is damaged" in said[0]


def sealed_anew(body):
    return {"sha256": sha256(json.dumps(body, sort_keys=True).encode()), **body}


@pytest.mark.parametrize(
    "spoil",
    [
        lambda body: json.dumps(body),  # without its own checksum
        lambda body: json.dumps(sealed_anew({**body, "tensors_sha256": None})),
        lambda body: json.dumps(sealed_anew({n: body[n] for n in ("step", "state")})),
        lambda body: json.dumps(sealed_anew({n: body[n] for n in ("step", "tensors_sha256")})),
        lambda body: json.dumps(sealed_anew({**body, "state": []})),
        lambda body: json.dumps(sealed_anew({**body, "state": {"other": 2}})),
        lambda _body: "[" * 100_000,
        lambda _body: '{"a":' * 100_000,
        lambda _body: "",
        lambda _body: "null",
        lambda _body: "[1]",
        lambda _body: '{"sha256": [1]}',
        lambda _body: b"\xff\xfe\x00",
        lambda _body: b"\x00" * 100,
    ],
)
def test_a_torn_seal_falls_back_to_the_one_before(tmp_path, spoil):
    save_checkpoint(tmp_path, 1, TENSORS, {"step": 1})
    save_checkpoint(tmp_path, 2, TENSORS, {"step": 2})
    path = tmp_path / "step-000000002.json"
    body = json.loads(path.read_text())
    del body["sha256"]
    content = spoil(body)
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    said = []
    assert load_checkpoint(tmp_path, said.append, ("step",)).state == {"step": 1}
    assert "step-000000002 is damaged" in said[0]


def test_copies_under_other_names_are_no_checkpoints(tmp_path):
    save_checkpoint(tmp_path, 1, TENSORS, {"step": 1})
    for name in ("step-000000002 (copy).json", "step-old.json"):
        (tmp_path / name).write_text("{}")
    assert last_step(tmp_path) == 1
    assert load_checkpoint(tmp_path, pytest.fail).state == {"step": 1}


def sha256(content):
    import hashlib

    return hashlib.sha256(content).hexdigest()


def files_sha256(path):
    return sha256(path.read_bytes())


def test_a_write_that_fails_leaves_what_was_there(tmp_path, monkeypatch):
    save_checkpoint(tmp_path, 1, TENSORS, {"step": 1})
    before = names(tmp_path)

    def full(_descriptor):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(files.os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        save_checkpoint(tmp_path, 2, TENSORS, {"step": 2})
    assert names(tmp_path) == before
    assert load_checkpoint(tmp_path, pytest.fail).state == {"step": 1}


def test_a_file_is_replaced_whole(tmp_path):
    path = tmp_path / "folder" / "metrics.csv"
    files.write_csv(path, ("a", "b"), [{"a": 1, "b": None}])
    assert path.read_text() == "a,b\n1,\n"
    (tmp_path / "folder" / "x.partial").write_text("torn")
    files.remove_partial(path.parent)
    assert names(path.parent) == ["metrics.csv"]
