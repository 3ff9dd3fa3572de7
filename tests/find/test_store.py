"""The table of measurements, and files that others share."""

from __future__ import annotations

import threading

import pytest
from finder_rows import MACHINE, row
from hypothesis import given
from hypothesis import strategies as some

from roadmap.errors import RefusedError
from roadmap.find import shared, store
from roadmap.find.store import COLUMNS, add, figures, key, merge, rows

NAME = "hgnetv2_b2"  # a candidate at 224 pixels


def test_rows_are_kept_and_read_back(table):
    assert rows() == []
    first, second = row("a", 10), row("b", 20)
    assert add(first) == first
    add(second)
    assert rows() == [first, second]
    assert table.read_text().splitlines()[0] == ",".join(COLUMNS)


def test_missing_values_are_empty_cells():
    assert add(row("a", 10) | {"peak_memory_gb": None, "cuda": None})["cuda"] == ""
    assert rows()[0]["peak_memory_gb"] == ""


@pytest.mark.parametrize(
    ("old", "new", "kept"),
    [
        (("", 10), ("", 8), 8),  # measured again
        (("busy", 10), ("", 12), 12),
        (("busy", 10), ("", 8), 10),
        (("", 10), ("busy", 12), 12),
        (("", 10), ("busy", 8), 10),
        (("busy", 10), ("busy", 12), 12),
        (("busy", 10), ("busy", 8), 10),
    ],
)
def test_of_a_disturbed_row_and_another_the_faster_is_kept(old, new, kept):
    for attempt, (disturbed, speed) in enumerate((old, new), start=1):
        found = add(row("a", speed, disturbed=disturbed))
        assert found["attempts"] == str(attempt)
    assert [row["images_per_s"] for row in rows()] == [str(kept)]


def test_a_users_rows_replace_committed_ones(table, tmp_path, monkeypatch):
    committed = tmp_path / "committed"
    monkeypatch.setattr(store, "RESULTS", committed)
    monkeypatch.setenv(store.VARIABLE, str(committed / "measured"))
    add(row("a", 10))
    add(row("b", 10))
    monkeypatch.setenv(store.VARIABLE, str(table.parent))
    add(row("a", 20))
    assert {each["name"]: each["images_per_s"] for each in rows()} == {"a": "20", "b": "10"}
    assert len(table.read_text().splitlines()) == 2


def test_threads_lose_nothing():
    threads = [threading.Thread(target=add, args=(row(f"n{each}", 1),)) for each in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {each["name"] for each in rows()} == {f"n{each}" for each in range(20)}


def test_what_is_not_the_table_is_not_read(table):
    table.parent.mkdir()
    table.write_text("something,else\n1,2\n")
    assert rows() == []


def test_figures_include_the_table_of_speeds_with_sizes_by_their_name():
    found = {(each["source"], each["name"], each["depthwise"]) for each in figures()
             if each["device_name"] == "NVIDIA H200"}  # fmt: skip
    assert ("timm", "convnext_tiny", "torch") in found
    assert all(each["mode"] == "inference" and each["compiled"] == "False" for each in figures())
    places = [key(each) for each in figures()]
    assert len(places) == len(set(places))


def test_figures_of_our_networks_are_those_of_the_present_code(monkeypatch):
    def speeds(*changes: dict[str, str]) -> dict[str, str]:
        table = [row("separate_downsampling", 10, source="resnet50", date="2026-11-29") | one
                 for one in changes]  # fmt: skip
        monkeypatch.setattr(store, "read_rows", lambda _name: table)
        return {f"{each['source']}:{each['name']}": each["images_per_s"] for each in figures()}

    ours = {"depthwise": "own", "images_per_s": "20"}
    assert speeds(ours, {}) == {"variant:convnext_tiny": "20"}  # a step that is a size as well
    assert speeds({"date": "2026-11-28"}) == {}
    library = {"source": "timm", "name": "resnet50", "date": "2026-11-22"}
    assert speeds(library) == {"timm:resnet50": "10"}


# Shared files


def test_a_shared_file_adds_rows_but_replaces_none():
    mine = row(NAME, 10)
    add(mine)
    theirs = [row(NAME, 99), row(NAME, 50, device_name="Other GPU", device="cuda")]
    text = store.shared_text(theirs)
    found = shared.read(text.encode())
    assert found == theirs
    assert merge(found) == 1
    assert merge(found) == 0
    assert rows() == [mine, theirs[1]]


def _csv(**changes: object) -> bytes:
    return store.shared_text([row(NAME, 10, **changes)]).encode()


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", "its first line does not have the columns"),
        (b"\xff\xfe", "it is not a CSV in UTF-8"),
        (b"name,speed\na,1\n", "its first line does not have the columns"),
        (",".join(COLUMNS).encode(), "it has no rows"),
        (_csv() + b"1,2\n", "row 2 has another number of cells"),
        (_csv().rstrip() + b",more\n", "row 1 has another number of cells"),
        (_csv(images_per_s="fast"), "row 1, images_per_s is 'fast'; use a positive number"),
        (_csv(images_per_s="nan"), "images_per_s is 'nan'"),
        (_csv(images_per_s="inf"), "images_per_s is 'inf'"),
        (_csv(images_per_s="-3"), "images_per_s is "),
        (_csv(images_per_s=""), "images_per_s is ''"),
        (_csv(batch_size="0"), "batch_size is '0'; use a whole number"),
        (_csv(batch_size_asked="9" * 50), "batch_size_asked is"),
        (_csv(attempts="\u00b2"), "attempts is '²'"),
        (_csv(device="toaster"), "device is 'toaster'; use cpu or cuda or mps"),
        (_csv(dtype="int8"), "dtype is 'int8'"),
        (_csv(mode="training"), "mode is 'training'"),
        (_csv(device_name=""), "row 1 has no device name"),
        (_csv(device_name="x" * 101), "device_name is 'xxx"),
        (_csv(device_name="a\nb"), "device_name is 'a"),
        (_csv(source="timm", name="resnet5000"), "'timm:resnet5000', which is no candidate"),
        (_csv(source="config"), "which is no candidate"),
        (_csv(image_size="225"), "which is no candidate"),
        (b"x" * (shared.MOST_BYTES + 1), "it is larger than 2 MB"),
        (",".join(COLUMNS).encode() + b'\n"', "it is not a CSV in UTF-8"),
    ],
)
def test_hostile_files_are_refused_in_one_sentence(content, why):
    with pytest.raises(RefusedError) as refused:
        shared.read(content, "theirs.csv")
    text = str(refused.value)
    assert text.startswith("theirs.csv is not a results file of the finder: ")
    assert why in text
    assert len(text) < 400
    assert "\n" not in text


@given(some.binary(max_size=300))
def test_any_bytes_are_read_or_refused(content):
    for each in (content, ",".join(COLUMNS).encode() + b"\n" + content):
        with pytest.raises(RefusedError):
            shared.read(each)


def test_what_would_be_a_formula_in_a_spreadsheet_is_plain_text_in_the_file():
    content = _csv(device_name="=1+1").decode()
    assert "'=1+1" in content
    assert MACHINE not in content
