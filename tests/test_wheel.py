"""The package as others install it: built, put into a folder, used from another one."""

import json
import os
import shutil
import socket
import subprocess
import sys
import urllib.request
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from time import monotonic, sleep

import pytest
from command_lines import command_lines, python_blocks
from distribution import FOLDERS, SOURCES
from forked import forked_run

from roadmap import __version__

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
#: Commands of the README that are not run, each with its reason.
NOT_RUN = {
    "train --weights timm:convnext_tiny --data PATH": "downloads weights, trains on your pictures",
    "export --step gelu --format onnx": "takes 9 s; a small network is exported below",
}
#: Options that make commands of the README quick and independent of the machine, by their start.
#: With its 15 epochs, the training would be comparable with the committed runs (test_readme.py).
QUICK = {"train --step": "--device cpu --epochs 1", "find": "--minutes 0"}
#: Commands besides those of the README.
MORE = (
    "profile --step gelu --save",
    "audit",
    "sweep --design results/designs/digits.json --scale pocket --dry-run",
    "export --step gelu --format py --output gelu.py",
    "export --run results/runs/digits/resnet50-kernel_7-seed3 --format onnx --output small.onnx",
)
#: Commands and blocks of Python in one process, which imports torch once; the last line names what
#: was imported.
COMMANDS = """
import json, shlex, sys
import roadmap
from roadmap import cli

asked = json.load(sys.stdin)
for line in asked["commands"]:
    print("$", line, flush=True)
    code = cli.app(shlex.split(line, comments=True), standalone_mode=False)
    assert not code, (line, code)
for block in asked["blocks"]:
    exec(block, {})
print(roadmap.__file__)
"""
#: The first page in Streamlit's test of apps.
PAGE = """
from streamlit.testing.v1 import AppTest
from roadmap.tables.results import ROOT

app = AppTest.from_file(str(ROOT / "app.py"), default_timeout=60).run()
assert not app.exception, app.exception
print(*[page.proto.body for page in app.get("html")])
"""
#: A notebook's cells, as on Colab: the package is installed, the repository is not there.
CELLS = """
import sys
import nbformat
from IPython.core.interactiveshell import InteractiveShell

shell = InteractiveShell()
for cell in nbformat.read(sys.argv[1], as_version=4).cells:
    if cell.cell_type == "code":
        shell.run_cell(cell.source).raise_error()
"""


@pytest.fixture(scope="module")
def installed(tmp_path_factory) -> Path:
    """The folder that holds the installed wheel, which may not be written to."""
    if not setuptools_builds():
        pytest.skip("building needs setuptools 77 or newer in this environment")
    folder = tmp_path_factory.mktemp("wheel")
    source, target = folder / "source", folder / "target"
    source.mkdir()
    names = ("__pycache__", "weights.safetensors", "_packaged", ".background")
    ignored = shutil.ignore_patterns(*names)
    for name in SOURCES:
        shutil.copy(ROOT / name, source)
    for name in FOLDERS:
        shutil.copytree(ROOT / name, source / name, ignore=ignored)
    (source / "results/runs/digits/resnet50-baseline-seed0/checkpoints").mkdir(exist_ok=True)
    (source / "results/runs/digits/resnet50-baseline-seed0/weights.safetensors").touch()
    wheels = folder / "wheels"
    pip("wheel", "--no-build-isolation", "--wheel-dir", wheels, source)
    pip("install", "--no-compile", "--target", target, *wheels.iterdir())
    return target


def setuptools_builds() -> bool:
    try:
        return int(version("setuptools").split(".")[0]) >= 77
    except PackageNotFoundError:
        return False


def pip(command: str, *options: object) -> None:
    quiet = ["--quiet", "--disable-pip-version-check"]
    offline = ["--no-deps", "--no-index", "--no-cache-dir"]
    line = [sys.executable, "-m", "pip", command, *quiet, *offline, *map(str, options)]
    done = subprocess.run(line, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.fixture(scope="module")
def run(installed, tmp_path_factory):
    """Runs a program in another folder, with the installed package; gives what it printed."""
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    environment = {name: value for name, value in os.environ.items() if name != "ROADMAP_RUNS"}
    environment |= {"PYTHONPATH": str(installed), "PYTHONDONTWRITEBYTECODE": "1"}
    environment |= {"OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}

    def run(*command: str, lines: str = "") -> str:
        done = forked_run(command, lines, cwd=elsewhere, env=environment)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    run.folder, run.environment = elsewhere, environment
    return run


def test_holds_pages_tables_and_runs_but_nothing_else(installed):
    held = {str(path.relative_to(installed)) for path in installed.rglob("*") if path.is_file()}
    packaged = {Path(name).relative_to("roadmap/_packaged") for name in held if "_packaged" in name}
    tables = [path for path in ROOT.glob("results/[!r]*/*.*") if path.suffix in (".csv", ".json")]
    assert len(tables) > 20
    assert {path.relative_to(ROOT) for path in tables} <= packaged
    shipped = {*ROOT.glob("results/pocket/*.safetensors"), *ROOT.glob("results/pictures/*.jpg")}
    assert len(shipped) > 20
    assert {path.relative_to(ROOT) for path in shipped} <= packaged
    assert not [path for path in packaged if path.name == "weights.safetensors"]
    names = {path.name for path in packaged if path.parts[:2] == ("results", "runs")}
    assert {"run.json", "metrics.csv"} <= names <= {"run.json", "metrics.csv", "class_names.json"}
    for path in [*ROOT.glob("roadmap/**/*.*"), *ROOT.glob("models/**/*.*")]:
        if path.suffix in (".py", ".css", ".html", ".js", ".svg", ".cu"):
            assert str(path.relative_to(ROOT)) in held
    tops = {Path(name).parts[0] for name in held}
    assert {top for top in tops if "dist-info" not in top} == {"models", "roadmap", "bin"}


def test_works_in_another_folder_and_writes_there_only(installed, run):
    before = contents(installed)
    script = str(installed / "bin" / "modernizing-resnet")
    assert run(sys.executable, script, "--version").strip() == __version__
    assert "kernel_7" in run(sys.executable, script, "steps")
    commands, blocks = readme_commands(), python_blocks(README)
    assert len(commands) >= 5
    assert blocks
    asked = json.dumps({"commands": [*commands, *MORE], "blocks": blocks})
    printed = run(sys.executable, "-c", COMMANDS, lines=asked)
    assert printed.splitlines()[-1] == str(installed / "roadmap" / "__init__.py")
    assert "ResNet-50" in run(sys.executable, "-c", PAGE)
    results = run.folder / "results"
    assert (results / "runs/digits/resnet50-kernel_7-seed3/run.json").is_file()
    assert {path.name for path in results.rglob("*.csv")} == {"complexity.csv", "metrics.csv"}
    # What was measured here goes into a copy of the whole table.
    lengths = [
        len((folder / "measured/complexity.csv").read_text().splitlines())
        for folder in (results, ROOT / "results")
    ]
    assert lengths[0] == lengths[1]
    assert contents(installed) == before


def readme_commands() -> list[str]:
    """The commands of the README that are run here, as quick ones; the training comes last, since
    a report would refuse to compare its one epoch."""
    lines = [line.partition("roadmap ")[2].split("#")[0].strip() for line in command_lines(README)]
    assert NOT_RUN.keys() <= set(lines)
    quick = [
        " ".join([line, *(options for start, options in QUICK.items() if line.startswith(start))])
        for line in lines
        if line not in NOT_RUN
    ]
    return sorted(quick, key=lambda line: line.startswith("train"))


def test_a_notebook_reads_the_committed_runs(run, monkeypatch):
    monkeypatch.setitem(run.environment, "PLOTLY_RENDERER", "json")
    run(sys.executable, "-c", CELLS, str(ROOT / "notebooks" / "04-read-the-results.ipynb"))


def test_serves_the_explorer(installed, run):
    with socket.socket() as free:
        free.bind(("localhost", 0))
        port = free.getsockname()[1]
    script = installed / "bin" / "modernizing-resnet"
    server = subprocess.Popen(
        [sys.executable, str(script), "app", "--port", str(port)],
        cwd=run.folder,
        env=run.environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        assert answer(f"http://localhost:{port}/_stcore/health", server) == b"ok"
    finally:
        server.terminate()
        server.wait(timeout=60)


def answer(url: str, server: subprocess.Popen) -> bytes:
    end = monotonic() + 120
    while server.poll() is None and monotonic() < end:
        try:
            with urllib.request.urlopen(url, timeout=5) as found:
                return found.read()
        except OSError:
            sleep(0.1)
    raise AssertionError(f"nothing answers at {url}; exit code {server.poll()}")


def contents(folder: Path) -> dict[Path, int]:
    return {path: path.stat().st_mtime_ns for path in sorted(folder.rglob("*"))}
