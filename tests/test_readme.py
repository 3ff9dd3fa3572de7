"""The README's figures are the tables'."""

import re
from pathlib import Path

import pytest

from roadmap import ROADMAPS
from roadmap.results import step_rows

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
ROWS = [
    [cell.strip(" `") for cell in line.strip("|").split("|")]
    for line in README.splitlines()
    if re.match(r"\| .+ \| `\w+` \| \d", line)
]


def test_ten_rows_in_the_roadmaps_order():
    keys = [row[1] for row in ROWS]
    assert len(keys) == 10
    assert keys == [key for key in ROADMAPS["resnet50"].keys if key in keys]


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[1])
def test_figures_are_the_tables(row):
    figures = {figure["key"]: figure for figure in step_rows("resnet50")}[row[1]]
    assert row[2:] == [
        f"{figures['top1']:.2f}",
        f"{figures['paper_gflops']:.2f}",
        f"{figures['gflops']:.2f}",
        f"{figures['params_m']:.1f}",
    ]


@pytest.mark.parametrize("path", re.findall(r"\]\(([^)#:]+)\)", README))
def test_links_lead_somewhere(path):
    assert (ROOT / path).exists()
