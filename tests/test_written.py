"""What is written for other programs: JSON that all read, CSV that no spreadsheet runs."""

import csv
import io
import json
import math
import re

import pandas as pd
import pytest

from models.text import (
    LONGEST_MESSAGE,
    LONGEST_PATH,
    LONGEST_VALUE,
    bounded,
    ended,
    json_text,
    said,
    shortened,
)
from roadmap.console import Format, emit
from roadmap.errors import RefusedError
from roadmap.files import csv_text, plain_cell, write_csv, write_json
from roadmap.tables.results import RESULTS, ROOT
from roadmap.views.common.figure import plain_cells


def strict(text):
    """As JSON has it, not as Python reads it."""

    def refuse(name):
        raise AssertionError(name)

    return json.loads(text, parse_constant=refuse)


NOT_FINITE = {"a": math.nan, "b": [math.inf, 1.5], "c": {"d": (-math.inf, "NaN", None, True)}}
NULLS = {"a": None, "b": [None, 1.5], "c": {"d": [None, "NaN", None, True]}}


def test_no_json_has_a_number_that_json_has_not(tmp_path, capsys):
    assert strict(json_text(NOT_FINITE)) == NULLS
    write_json(tmp_path / "run.json", NOT_FINITE)
    assert strict((tmp_path / "run.json").read_text()) == NULLS
    emit([NOT_FINITE], (), Format.json)
    assert strict(capsys.readouterr().out) == [NULLS]


DANGEROUS = ["=1+1", "+cmd|' /C calc'!A0", "-2+3+cmd|'x'!A0", "@SUM(A1)", "\t=1", "\n=1"]
DANGEROUS += [" =1+1", "\uff1d1+1", "=", "--recipe", '=HYPERLINK("x")']
HARMLESS = ["a=b", "-1.5", "+2", "-1e-3", "kernel_7", "", "'=1", "1-2", "–", -1.5, 0, None, True]


@pytest.mark.parametrize("value", DANGEROUS)
def test_formulas_are_written_as_text(value, tmp_path, capsys):
    assert plain_cell(value) == f"'{value}"
    rows = [{"first": value, "number": -1.5, "later": value}]
    expected = {"first": f"'{value}", "number": "-1.5", "later": f"'{value}"}
    write_csv(tmp_path / "a.csv", list(rows[0]), rows)
    emit(rows, (), Format.csv)
    downloaded = plain_cells(pd.DataFrame(rows)).to_csv(index=False)
    for text in (
        (tmp_path / "a.csv").read_bytes().decode(),
        capsys.readouterr().out,
        downloaded,
    ):
        assert next(csv.DictReader(io.StringIO(text, newline=""))) == expected


def test_a_carriage_return_begins_no_row_of_its_own():
    text = csv_text(["a", "b"], [{"a": "x\r=1+1", "b": "\r\n=2"}])
    assert list(csv.reader(io.StringIO(text, newline=""))) == [["a", "b"], ["x\n=1+1", "'\n=2"]]


@pytest.mark.parametrize("value", HARMLESS)
def test_other_cells_stay_as_they_are(value):
    assert plain_cell(value) is value
    table = pd.DataFrame({"text": ["a", value], "number": [-1.0, 2.0], "flag": [True, False]})
    pd.testing.assert_frame_equal(plain_cells(table), table)


def test_the_projects_tables_would_be_written_as_they_are():
    """But for the options in the table of one benchmark, which begin with dashes."""
    changed = set()
    for path in RESULTS.rglob("*.csv"):
        for row in csv.DictReader(io.StringIO(path.read_text())):
            changed |= {(path.stem, name) for name in row if plain_cell(row[name]) != row[name]}
    assert changed == {("depthwise_training", "options")}


def test_values_in_messages_are_short():
    assert said("kernel_7") == "'kernel_7'"
    assert said((3, 3, 9, 3)) == "(3, 3, 9, 3)"
    nested = []
    for _ in range(100_000):
        nested = [nested]
    long = ("x" * 1_000_000, "\n" * 1_000_000, [1] * 1_000_000, 10**5000, nested, {1: "a" * 99})
    for value in long:
        assert len(said(value)) <= LONGEST_VALUE + 2
    assert shortened("/data/imagenet") == "/data/imagenet"
    path = "/home/" + "x" * 1_000_000 + "/weights.safetensors"
    assert len(shortened(path)) == LONGEST_PATH
    assert shortened(path).startswith("/home/")
    assert shortened(path).endswith("/weights.safetensors")


def test_messages_are_short_and_keep_their_advice():
    sentence = "the data folder {} does not exist: give another with --data"
    assert bounded(sentence.format("/data/imagenet")) == sentence.format("/data/imagenet")
    found = bounded(sentence.format("x" * 1_000_000))
    assert len(found) < 500
    assert found.endswith("does not exist: give another with --data")
    assert len(bounded(sentence.format("x " * 1_000_000))) == LONGEST_MESSAGE
    assert len(str(RefusedError("x" * 1_000_000))) == LONGEST_PATH


@pytest.mark.parametrize("message", ["no run", "no run.", "no run named '..'", "Did you mean 'a'?"])
def test_a_message_ends_once(message):
    assert ended(message) in (message, f"{message}.")
    assert ended(message)[-1] in ".?"
    assert ended(ended(message)) == ended(message)


def test_no_period_is_added_to_an_errors_text_but_by_ended():
    added = re.compile(r"""\{(error|fault)\}\.["' ]|str\(error\)(\[:-1\]|\.rstrip)""")
    paths = [path for name in ("roadmap", "models") for path in (ROOT / name).rglob("*.py")]
    found = [path for path in paths if added.search(path.read_text(encoding="utf-8"))]
    # Before ``models`` can be imported, and in parentheses.
    assert sorted(path.name for path in found) == ["__main__.py", "opening.py"]
