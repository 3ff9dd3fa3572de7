"""The report's page: whole, honest, and nothing in it to fetch."""

from __future__ import annotations

import re
from html.parser import HTMLParser

import pytest
from fake_runs import CHANGES, write_ablation, write_run
from plotly.offline import get_plotlyjs

from roadmap.analysis.ablation import analyse
from roadmap.report.page import page
from roadmap.runs import read_runs
from roadmap.steps import ROADMAPS

SCORES = {"baseline": (65.0, 65.5, 64.8)} | CHANGES


def made(root, data="tiny", roadmap="resnet50") -> str:
    """The page without Plotly itself."""
    found = read_runs(root)
    return page(analyse(found.runs, data, roadmap), found).replace(get_plotlyjs(), "")


@pytest.fixture
def html(tmp_path):
    write_ablation(tmp_path, SCORES)
    write_run(tmp_path, "gelu", 7, done=2)
    (tmp_path / "tiny" / "resnet50-gelu-seed9").mkdir()
    return made(tmp_path)


class Elements(HTMLParser):
    """Tags with their attributes, in order, and which were never closed."""

    VOID = ("meta", "br", "img", "link", "input", "hr")

    def __init__(self, html: str):
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag, attributes):
        self.found.append((tag, dict(attributes)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def test_nothing_is_fetched(html):
    elements = Elements(html)
    assert elements.open == []
    for tag, attributes in elements.found:
        assert tag not in ("link", "iframe", "img", "object", "embed")
        assert "src" not in attributes
        assert "href" not in attributes
    style = html.split("<style>")[1].split("</style>")[0]
    assert not re.search(r"url\(|@import", style)


def test_it_says_which_test_was_made_and_what_its_check_found(html):
    assert "Levene&#x27;s test does not reject that it is equal at every step (p = 0." in html
    assert "agrees in sign and verdict on 3 of 3 changes; the standard" in html
    assert html.count("inconclusive</li>") == 1  # in the legend


def test_every_chart_has_a_text_alternative_with_its_figures(html):
    alts = [a["aria-label"] for _, a in Elements(html).found if a.get("role") == "img"]
    assert len(alts) == html.count("Plotly.newPlot") == 9
    assert any("Kernel size 7 +1.01" in alt and ", gain" in alt for alt in alts)
    assert any("Learning curves, Micro design" in alt for alt in alts)
    ranks = next(alt for alt in alts if alt.startswith("Rank of each step by top-1"))
    assert "ResNet 4 and 5" in ranks


def test_it_says_what_was_run(html):
    for fact in (
        f"15 finished, 5 of {len(ROADMAPS['resnet50'].steps)} steps, seeds 0, 1, 2",
        "100 classes, 50,000 training and 10,000 validation images",
        "3 epochs at 64 pixels",
        "SGD, learning rate 0.1, batch 256 (ResNet)",
        "NVIDIA H200, eager, bf16",
        "torch 2.11.0",
        "resnet50-gelu-seed7</b> stopped after 2 of 3 epochs",
        "resnet50-gelu-seed9</b> There is no run.json.",
        "Steps without a finished run: Modern training recipe",
    ):
        assert fact in html


def test_the_table_has_every_step_and_verdict(html):
    table = html.split("<table>")[1].split("</table>")[0]
    rows = [row for row in table.split("<tr") if 'scope="row"' in row]
    assert len(rows) == len(SCORES)
    assert "</i>Gain</td>" in rows[2]
    assert re.search(r"</i>Inconclusive; (about|more than) \d+ seeds needed</td>", rows[3])
    assert "</i>Loss</td>" in rows[4]


def test_what_run_json_says_is_escaped(tmp_path):
    name = "<script>alert(1)</script>"
    for seed in range(2):
        folder = write_run(tmp_path, "gelu", seed, device=name, date=name)
        (folder / "run.json").write_text(
            (folder / "run.json").read_text().replace('"name": "tiny"', f'"name": "{name}"')
        )
    html = made(tmp_path, data=name)
    assert name not in html
    assert "&lt;script&gt;alert(1)" in html


def test_one_seed_makes_a_page_too(tmp_path):
    write_ablation(tmp_path, {"kernel_7": [70.0], "gelu": [71.0]})
    html = made(tmp_path)
    assert "No change could be tested" in html
    assert "untested</li>" in html
    assert "Intervals and tests need two seeds of both steps." in html
    assert "bars are 95% intervals" not in html
    assert "interval of the mean" not in html


def test_one_step_makes_a_page_without_changes(tmp_path):
    write_ablation(tmp_path, {"kernel_7": [70.0, 70.1]})
    html = made(tmp_path)
    assert "Effect of each change" not in html
    assert "The best of 1 trained step" in html


def test_steps_without_an_accuracy_in_the_paper_make_a_page_too(tmp_path):
    scores = {"global_response_norm": (70.0, 71.0), "no_layer_scale": (71.0, 72.5)}
    write_ablation(tmp_path, scores)
    html = made(tmp_path)
    assert "Mean top-1 here" in html
    assert "As published" not in html
    assert "Ticks" not in html


def test_times_of_one_machine_are_drawn(tmp_path):
    write_run(tmp_path, "gelu", 0)
    write_run(tmp_path, "gelu", 1)
    write_run(tmp_path, "kernel_7", 1, device="NVIDIA A100", compiled=True)
    html = made(tmp_path)
    assert "Against training time on NVIDIA H200, eager" in html
    assert "Training time: ReLU to GELU 30 s." in html
    assert (
        "Training seconds are those of the fastest run on NVIDIA H200, eager. "
        "Runs on NVIDIA A100, compiled are not included. Steps without a time: Kernel size 7."
        in html
    )


def test_a_roadmap_of_training_makes_a_page(tmp_path):
    for number, key in enumerate(ROADMAPS["torchvision_recipe"].keys):
        for seed in range(2):
            top1 = 70.0 + number + seed / 2
            where = {"roadmap": "torchvision_recipe", "ema_top1": top1}
            write_run(tmp_path, key, seed, top1, **where)
    html = made(tmp_path, roadmap="torchvision_recipe")
    assert "a different recipe for each step" in html
    assert "Against GFLOPs" not in html  # one network throughout
    assert "Against training time" in html
    assert "Open dots" not in html
