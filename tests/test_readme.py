"""The README and what it leads to: figures are the tables', links and commands work."""

import dataclasses
import functools
import re
import shlex
import shutil
from pathlib import Path

import pytest
from cases import cats_and_dogs
from command_lines import checked, command_lines
from planned_runs import planned_record
from typer.testing import CliRunner

from roadmap import ROADMAPS
from roadmap.cli import app
from roadmap.runs.folders import runs_folder
from roadmap.runs.record import read_record, write_record
from roadmap.sweep import command as sweeping
from roadmap.sweep.folders import check_folders
from roadmap.sweep.plan import PlannedRun
from roadmap.tables.results import step_rows
from roadmap.train import run as training
from roadmap.train.data.sources import open_source

ROOT = Path(__file__).parents[1]
DOCS = sorted(path.relative_to(ROOT).as_posix() for path in (ROOT / "docs").glob("**/*.md"))
TEXTS = ["README.md", "CONTRIBUTING.md", *DOCS]
TEXTS += ["results/measured/README.md", "results/paper/README.md"]
#: Pages that lead elsewhere or explain.
NO_COMMANDS = {"docs/index.md", "docs/method.md"}
NO_COMMANDS |= {name for name in DOCS if name.startswith("docs/reference/")}
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
    assert lines or name in NO_COMMANDS
    for line in lines:
        checked(line)


def test_the_first_training_is_comparable_with_the_committed_runs(tmp_path, monkeypatch):
    """With another seed it is one of them: a run with other settings would be refused."""
    (line,) = (
        line
        for line in command_lines((ROOT / "README.md").read_text(encoding="utf-8"))
        if "train --step" in line
    )
    words = shlex.split(line, comments=True)[3:]
    words[words.index("--seed") + 1] = "0"
    run = "digits/resnet50-kernel_7-seed0"
    shutil.copytree(ROOT / "results" / "runs" / run, tmp_path / run)
    monkeypatch.setenv("ROADMAP_RUNS", str(tmp_path))
    done = CliRunner().invoke(app, words)
    assert done.exit_code == 0, done.stderr
    assert "this run is already finished" in done.stderr
    assert CliRunner().invoke(app, [*words, "--epochs", "14"]).exit_code == 2


@pytest.mark.parametrize("status", ["finished", "interrupted"])
def test_commands_that_train_do_not_collide(status, tmp_path, monkeypatch):
    """In the order of the texts, on one data set; runs leave run.json and are not trained.

    ``check_folders`` passes over records that cannot be read, so each is read back at once.
    """
    data = cats_and_dogs(tmp_path / "imagenet")
    opened = functools.cache(open_source)
    trained = []

    def leave(job: PlannedRun) -> None:
        trained.append(job.folder)
        job.folder.mkdir(parents=True, exist_ok=True)
        source = opened(job.settings.data)
        write_record(job.folder, planned_record(job.settings, source, status))
        assert read_record(job.folder)

    def train(settings, _notes):
        name = f"{settings.subject}-seed{settings.seed}"
        folder = settings.output or runs_folder() / opened(settings.data).folder / name
        if settings.start is not None:  # no run of a step, so no sweep's either
            assert folder not in trained
            trained.append(folder)
            return
        job = PlannedRun(dataclasses.replace(settings, output=folder))
        check_folders([job], opened(settings.data), device="cpu")
        leave(job)

    monkeypatch.setattr(training, "train", train)
    monkeypatch.setattr(sweeping, "_engine", lambda *_: None)
    monkeypatch.setattr(sweeping, "run_jobs", lambda jobs, _: [leave(job) for job in jobs] and 0)
    monkeypatch.setenv("ROADMAP_RUNS", str(tmp_path / "runs"))
    pattern = r"^export (\w+)=(\S+)|^.*roadmap ((?:train|sweep) .*)$"
    for name in TEXTS:
        text = (ROOT / name).read_text(encoding="utf-8").replace("\\\n", " ")
        for variable, value, command in re.findall(pattern, text, re.M):
            if variable:
                monkeypatch.setenv(variable, str(tmp_path / value.lstrip("/")))
                continue
            words = shlex.split(command, comments=True)
            for place in ("--output", "--design", "--data"):
                if place in words:
                    path = words[words.index(place) + 1]
                    moved = ROOT / path if place == "--design" else tmp_path / path.lstrip("/")
                    words[words.index(path)] = str(data if place == "--data" else moved)
            done = CliRunner().invoke(app, words)
            assert done.exit_code == 0, (name, command, done.stderr)
    assert len(set(trained)) > 2 * 3 * 19
