"""Every page in one process, as a server has them: no warning is printed, no torch imported."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pages
import pytest
from browser import ROOT

from roadmap import views
from roadmap.views.recipes.page import PARTS

#: The page that runs networks in the server; the last one here, since imports stay.
RUNS = "picture"
FOUND = {path.parent.name for path in Path(views.__file__).parent.glob("*/page.py")}
NAMES = [*sorted(FOUND - {RUNS}), RUNS]
#: What takes seconds and memory to import, and no page's server needs.
HEAVY = {"torch", "timm", "torchvision", "sklearn", "fvcore", "onnx"}
CODE = """
import functools, json, sys
from streamlit.components.v2 import manifest_scanner as scanner
from streamlit.testing.v1 import AppTest

scanner.scan_component_manifests = functools.cache(scanner.scan_component_manifests)
for name, script, parameters in json.loads(sys.argv[1]):
    start = AppTest.from_string if script else AppTest.from_file
    app = start(script or "app.py", default_timeout=120)
    for parameter, value in parameters.items():
        app.query_params[parameter] = value
    assert not app.run().exception, (name, parameters)
    print(json.dumps([name, sorted(sys.modules)]))
"""


@pytest.fixture(scope="module")
def ran() -> subprocess.CompletedProcess[str]:
    """The app, then each page alone, with the committed runs."""
    opened = [("app", None, {})] + [(name, pages.script(name), {}) for name in NAMES]
    parts = [("recipes", pages.script("recipes"), {"part": part}) for part in PARTS]
    opened[-1:-1] = parts
    return subprocess.run(
        [sys.executable, "-c", CODE, json.dumps(opened)],
        cwd=ROOT,
        env={**os.environ, "ROADMAP_RUNS": str(ROOT / "results" / "runs")},
        capture_output=True,
        text=True,
    )


def test_every_page_runs_and_no_warning_is_printed(ran):
    assert ran.returncode == 0, ran.stderr
    assert {json.loads(line)[0] for line in ran.stdout.splitlines()} == {"app", *NAMES}
    assert len(NAMES) == 12
    # The test harness itself has no browser's context.
    lines = [line for line in ran.stderr.splitlines() if "missing ScriptRunContext" not in line]
    warnings = [line for line in lines if "warn" in line.lower() or "deprecat" in line.lower()]
    assert not warnings, ran.stderr


def test_the_server_starts_without_a_message():
    code = [sys.executable, "-c", "import app; assert app.app"]
    started = subprocess.run(code, cwd=ROOT, capture_output=True, text=True)
    assert (started.returncode, started.stdout, started.stderr) == (0, "", "")


def test_the_server_of_the_pages_never_imports_torch(ran):
    imported = [json.loads(line) for line in ran.stdout.splitlines()]
    assert len(imported) == 1 + len(NAMES) + len(PARTS)
    for name, modules in imported:
        assert not HEAVY - {"torch"} & {*modules} if name == RUNS else not HEAVY & {*modules}, name
