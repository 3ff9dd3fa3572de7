"""The notebooks run from start to end, and what is committed is what came out."""

from __future__ import annotations

import asyncio
import base64
import re
import shutil
import subprocess
import sys
from types import ModuleType

import colab
import few_digits
import nbformat
import pytest
from command_lines import checked, command_lines
from execute import FIGURE, FOLDER, PICTURE, execute, figures, fingerprint
from fake_runs import write_ablation
from forked import Forked
from IPython.core.interactiveshell import InteractiveShell

from roadmap.runs.folders import RUNS_VARIABLE
from roadmap.tables.results import RESULTS

NAMES = (
    "01-tour",
    "02-build-and-measure",
    "03-train-an-ablation",
    "04-read-the-results",
    "05-design-an-experiment",
    "06-fine-tune",
)
LARGEST = 1_000_000  # bytes
#: Steps in a row with an accuracy for each seed: a gain, a loss, and what one seed has alone.
TRAINED = {
    "gelu": (60.0, 60.4, 60.1),
    "fewer_activations": (63.0, 63.5, 63.2),
    "fewer_norms": (61.0, 61.4, 61.3),
    "layer_norm": (61.4,),
}


#: What a test puts in place of a notebook's lengths: how well it learns is for the committed
#: outputs to show, not for a test.
SHORTER = {
    "02-build-and-measure": {
        "image_size=128": "image_size=32",
        "epochs=8": "epochs=1",
        "epochs=25": "epochs=1",
        "EACH, DRAWS = 10, 3": "EACH, DRAWS = 10, 1",
        "randn(1, 3, 224, 224)": "randn(1, 3, 64, 64)",
    },
    "03-train-an-ablation": {
        "torch.set_num_threads(1)": f"{few_digits.CODE}torch.set_num_threads(1)",
        '"epochs": 3': '"epochs": 1',
    },
    "06-fine-tune": {
        "TRAIN, VAL = 20, 20": "TRAIN, VAL = 4, 1",
        "EPOCHS, SEEDS = 6, (0, 1)": "EPOCHS, SEEDS = 1, (0,)",
    },
}


def committed(name):
    return nbformat.read(FOLDER / f"{name}.ipynb", as_version=4)


def sources(name):
    return "\n".join(cell.source for cell in committed(name).cells)


def executed(name, folder):
    """The notebook, ``SHORTER``, run in ``folder`` without the outputs it is committed with."""
    notebook = committed(name)
    for long, short in SHORTER.get(name, {}).items():
        (cell,) = [cell for cell in notebook.cells if long in cell.source]
        cell.source = cell.source.replace(long, short)
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
    asyncio.run(execute(notebook, folder))
    return notebook


def code(notebook):
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def sentences(notebook):
    """What was computed and is said in words."""
    data = [output.get("data", {}) for cell in code(notebook) for output in cell.outputs]
    return [each["text/markdown"] for each in data if "text/markdown" in each]


def committed_runs(folder):
    """A copy of the runs without those made since; where git is silent, all there are."""
    runs = RESULTS / "runs"
    listed = subprocess.run(["git", "ls-files"], cwd=runs, capture_output=True, text=True)
    for path in listed.stdout.splitlines():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(runs / path, folder / path)
    return folder if folder.is_dir() else runs


@pytest.fixture
def forked_kernels(monkeypatch):
    """Kernels that have imported torch already."""
    monkeypatch.setattr("jupyter_client.launcher.Popen", Forked)


#: What the last notebook is about.
DATA = re.search(r'^DATA = "(.+)"$', sources(NAMES[3]), re.M)[1]


def test_these_are_all():
    assert tuple(sorted(path.stem for path in FOLDER.glob("*.ipynb"))) == NAMES


@pytest.mark.usefixtures("forked_kernels")
@pytest.mark.parametrize("name", NAMES)
def test_it_runs_from_start_to_end(name, tmp_path, monkeypatch):
    monkeypatch.setenv(RUNS_VARIABLE, str(committed_runs(tmp_path / "runs")))
    before = sorted(RESULTS.rglob("*"))
    notebook = executed(name, tmp_path)  # a cell that fails raises
    assert [cell.execution_count for cell in code(notebook)] == [
        place + 1 for place in range(len(code(notebook)))
    ]
    assert sorted(RESULTS.rglob("*")) == before
    # Charts come as data alone: no copy of Plotly in the file.
    assert figures(notebook)
    assert all("text/html" not in output.data for output in figures(notebook))
    if name == NAMES[3]:  # what it reads may have changed since
        assert sentences(notebook) == sentences(committed(name)), "make notebooks"


@pytest.mark.parametrize("name", NAMES)
def test_what_is_committed_came_from_these_cells(name):
    notebook = committed(name)
    assert notebook.metadata.roadmap.executed_sources == fingerprint(notebook), (
        f"{name} was changed after it was executed: make notebooks"
    )
    counts = [cell.execution_count for cell in code(notebook)]
    assert counts == list(range(1, len(counts) + 1))
    outputs = [output for cell in code(notebook) for output in cell.outputs]
    assert {output.output_type for output in outputs} <= {
        "display_data",
        "execute_result",
        "stream",
    }
    assert not [output for output in outputs if output.get("name") == "stderr"]


@pytest.mark.parametrize("name", NAMES)
def test_it_is_small_and_every_chart_has_its_picture(name):
    assert (FOLDER / f"{name}.ipynb").stat().st_size < LARGEST
    drawn = figures(committed(name))
    assert drawn
    for output in drawn:
        png = base64.b64decode(output.data[PICTURE])
        layout = output.data[FIGURE]["layout"]
        assert png.startswith(b"\x89PNG")
        assert output.metadata[PICTURE] == {side: layout[side] for side in ("width", "height")}
        assert layout["paper_bgcolor"] == "#ffffff"


def test_the_tour_has_twenty_cells():
    """Besides the one that sets Colab up."""
    cells = [cell for cell in committed(NAMES[0]).cells if cell.source != colab.set_up()]
    assert len(cells) == 20


@pytest.mark.parametrize("name", NAMES)
def test_it_opens_in_colab(name):
    first, second = committed(name).cells[:2]
    assert colab.link(name) in first.source
    assert (second.cell_type, second.source) == ("code", colab.set_up())
    assert second.outputs == []


@pytest.mark.parametrize("on_colab", [True, False])
def test_the_first_cell_installs_the_project_on_colab_and_nowhere_else(on_colab, monkeypatch):
    installed = []
    shell = InteractiveShell()
    shell.history_manager.enabled = False
    shell.register_magic_function(installed.append, magic_name="pip")
    if on_colab:
        monkeypatch.setitem(sys.modules, "google.colab", ModuleType("google.colab"))
    shell.run_cell(colab.set_up()).raise_error()
    expected = [f"install --quiet git+{colab.repository()}"]
    assert installed == (expected if on_colab else [])


def test_another_address_is_written_into_all_and_outputs_stay(tmp_path, monkeypatch):
    settings = tmp_path / "mkdocs.yml"
    settings.write_text("repo_url: https://github.com/someone/else\n")
    monkeypatch.setattr(colab, "SETTINGS", settings)
    notebook, before = committed(NAMES[0]), committed(NAMES[0])
    for _ in range(2):
        colab.write(notebook, NAMES[0])
    assert "/github/someone/else/blob/main/notebooks/01-tour.ipynb" in notebook.cells[0].source
    assert notebook.cells[0].source.count("Open in Colab") == 1
    assert "git+https://github.com/someone/else" in notebook.cells[1].source
    assert notebook.cells[2:] == before.cells[2:]
    assert notebook.metadata.roadmap.executed_sources == fingerprint(notebook)
    notebook.cells[3].source += " "
    colab.write(notebook, NAMES[0])  # changed since it was executed, and still said to be
    assert notebook.metadata.roadmap.executed_sources != fingerprint(notebook)


@pytest.mark.usefixtures("forked_kernels")
def test_results_of_other_runs_are_read_as_they_are(tmp_path, monkeypatch):
    write_ablation(tmp_path, TRAINED, data=DATA, val_images=1000)
    monkeypatch.setenv(RUNS_VARIABLE, str(tmp_path))
    said = "\n".join(sentences(executed(NAMES[3], tmp_path)))
    assert "10 finished, 4 of" in said
    assert "Of 2 changes tested, 1 is a gain" in said
    assert "1 is a loss" in said
    assert "Fewer activations: +3.07 points" in said
    assert "2 of 3 changes have the same sign as in the paper." in said
    assert "Of those that are significant here: 1 of 2." in said


@pytest.mark.parametrize("name", NAMES)
def test_command_lines_have_options_that_exist(name):
    for line in command_lines(sources(name)):
        checked(line)


def test_links_lead_somewhere():
    links = [
        (name, link)
        for name in NAMES
        for link in re.findall(r"\]\(([^)#:]+)[^):]*\)", sources(name))
    ]
    assert len(links) > 5
    for name, link in links:
        assert (FOLDER / link).exists(), (name, link)
