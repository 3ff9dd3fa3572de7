"""The README and what it leads to: figures are the tables', links and commands work."""

import re
from pathlib import Path

import pytest
from command_lines import checked, command_lines

from roadmap import ROADMAPS
from roadmap.results import step_rows

ROOT = Path(__file__).parents[1]
TEXTS = ["README.md", "CONTRIBUTING.md", "docs/explorer.md", "docs/training.md"]
TEXTS += ["docs/deploy.md"]
TEXTS += ["results/measured/README.md", "results/paper/README.md"]
ROWS = [
    [cell.strip(" `") for cell in line.strip("|").split("|")]
    for line in (ROOT / "docs/explorer.md").read_text(encoding="utf-8").splitlines()
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


@pytest.mark.parametrize("name", TEXTS)
def test_links_lead_somewhere(name):
    text = (ROOT / name).read_text(encoding="utf-8")
    for path, anchor in re.findall(r"\]\((?!https?:)([^)#]*)(?:#([^)]+))?\)", text):
        target = (ROOT / name).parent / path if path else ROOT / name
        assert target.exists(), path
        if anchor:
            assert anchor in anchors(target.read_text(encoding="utf-8")), (path, anchor)


def anchors(text: str) -> set[str]:
    """What a repository page makes of the headings."""
    titles = re.findall(r"^#+ (.+)$", text, re.M)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


@pytest.mark.parametrize("name", TEXTS)
def test_commands_have_options_that_exist(name):
    lines = command_lines((ROOT / name).read_text(encoding="utf-8"))
    assert lines
    for line in lines:
        checked(line)
