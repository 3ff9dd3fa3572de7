"""The committed measurements answer for the H200, at once and without measuring."""

from __future__ import annotations

import pytest
from typer.testing import CliRunner

from roadmap.cli import app
from roadmap.find import answer, command, search, shared, store
from roadmap.find.candidates import candidates
from roadmap.find.question import Question
from roadmap.find.sizes import measured_speeds
from roadmap.tables.results import RESULTS

H200 = "NVIDIA H200"


@pytest.fixture(autouse=True)
def committed(monkeypatch):
    """The committed table, and none of the user's own."""
    monkeypatch.setattr(store, "RESULTS", RESULTS)


def test_the_committed_file_is_one_that_can_be_shared():
    content = (RESULTS / "measured" / "finder.csv").read_bytes()
    assert shared.read(content) == store.rows()
    assert {row["device_name"] for row in store.rows()} == {H200}


@pytest.mark.parametrize("batch_size", [1, 256])
def test_it_answers_for_the_h200(batch_size, monkeypatch):
    monkeypatch.setattr(command, "devices", lambda: {"cpu": "Test CPU, 2 cores"})
    options = ["--device", H200, "--batch-size", str(batch_size), "--dtype", "bf16"]
    found = CliRunner().invoke(app, ["find", "--top1", "82", *options, "--minutes", "0"])
    assert found.exit_code == 0
    asked = Question(top1=82, device="cuda", device_name=H200, batch_size=batch_size)
    measured = answer.points(asked, candidates(), store.figures())
    best = answer.winners(asked, measured)[0]
    assert len(answer.winners(asked, measured)) >= 30
    assert best.candidate.weights
    assert f"{best.candidate.title} is the fastest of the" in found.stdout
    assert f'"{answer.timm_name(best.candidate)}", pretrained=True' in found.stdout


def test_every_network_that_can_win_is_measured_and_a_search_continues_from_them():
    for batch_size in (1, 256):
        asked = Question(top1=82, device="cuda", device_name=H200, batch_size=batch_size)
        planned = search.prepared(asked, 10)
        assert not {*planned.plan.first} & {*planned.waiting}
        points = answer.points(asked, candidates(), store.rows())
        measured = {point.candidate for point in points}
        assert {*planned.waiting} == {*planned.plan.order} - measured


def test_docs_give_the_answers_of_the_table():
    text = (RESULTS.parent / "docs" / "find.md").read_text()
    for batch_size in (1, 256):
        asked = Question(top1=82, device="cuda", device_name=H200, batch_size=batch_size)
        best = answer.winners(asked, answer.points(asked, candidates(), store.figures()))[0]
        shown = asked.measured.show(best.value)
        assert f"batch {batch_size}: `{best.candidate.name}`" in text
        assert f"{best.candidate.top1:.1f}%, {shown}" in text


@pytest.mark.parametrize("batch_size", [1, 256])
def test_the_page_sizes_has_an_axis_of_them(batch_size):
    found = {speeds.key: speeds.images_per_s for speeds in measured_speeds(store.figures())}
    places = found[f"nvidia-h200-bf16-batch-{batch_size}"]
    assert {("ConvNeXt-T", 224), ("ConvNeXt V2-T", 224)} <= places.keys()
    ours = next(
        row
        for row in store.rows()
        if (row["source"], row["name"]) == ("variant", "convnextv2_tiny")
        and row["batch_size"] == str(batch_size)
    )
    assert places["ConvNeXt V2-T", 224] == float(ours["images_per_s"])
