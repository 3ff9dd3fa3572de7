"""``models`` stands alone, and leaves room for another project's folder of the same name."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

import models

ROOT = Path(models.__file__).parents[1]
IMPORTING = re.compile(r"import_module$|__import__$")


def run(*arguments: str, folder: Path) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=folder,
        env={"PYTHONPATH": str(ROOT), "PATH": "", "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
    )


def write(folder: Path, files: dict[str, str]) -> None:
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(content)


def imported(code: str) -> set[str]:
    """The modules that ``code`` imports, also by a call."""
    found = set()
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found.add("." * node.level + (node.module or ""))
        elif isinstance(node, ast.Call) and IMPORTING.search(ast.unparse(node.func)):
            found |= {each.value for each in node.args if isinstance(each, ast.Constant)}
    return found


def test_imports_are_found_wherever_they_stand():
    code = "def f():\n import roadmap.a\n from roadmap import b\n import_module('roadmap.c')"
    assert imported(code) == {"roadmap.a", "roadmap", "roadmap.c"}


@pytest.mark.parametrize("path", sorted((ROOT / "models").rglob("*.py")), ids=lambda p: p.stem)
def test_no_module_imports_roadmap(path):
    found = imported(path.read_text(encoding="utf-8"))
    assert not [name for name in found if name.partition(".")[0] == "roadmap"]


def test_importing_models_hooks_into_nothing_and_imports_neither_torch_nor_timm(tmp_path):
    code = """
import sys
before = list(sys.meta_path)
import models, roadmap, roadmap.steps
print(sys.meta_path == before, {"torch", "timm"} & set(sys.modules))
"""
    assert run("-c", code, folder=tmp_path).stdout == "True set()\n"


def test_all_but_timms_side_works_without_timm(tmp_path):
    code = """
import sys
sys.modules.update({"timm": None, "timm.models": None})
import models, roadmap
print(len(roadmap.ROADMAPS), models.VARIANTS["resnet50"].width)
"""
    assert run("-c", code, folder=tmp_path).stdout == "3 64\n"


def test_modules_in_another_projects_folder_are_importable(tmp_path):
    """As of the official ConvNeXt, whose ``models/`` has no ``__init__.py``."""
    script = """
import models.convnext
from models import VARIANTS
from models.other.blocks import BLOCK
print(models.convnext.NAME, BLOCK, len(VARIANTS) > 5, models.config.__file__)
"""
    files = {"models/convnext.py": "NAME = 'theirs'", "models/other/blocks.py": "BLOCK = 1"}
    files |= {"models/config.py": "raise SystemExit('theirs')", "script.py": script}
    write(tmp_path, files)
    process = run("script.py", folder=tmp_path)
    assert process.stdout == f"theirs 1 True {ROOT / 'models' / 'config.py'}\n", process.stderr


#: Which come before ours where Python looks: a package and a module of another project.
FIRST = [{"models/__init__.py": "print('theirs')", "models/config.py": ""}, {"models.py": ""}]


@pytest.mark.parametrize("files", FIRST, ids=["package", "module"])
@pytest.mark.parametrize("command", [["steps"], ["timm", "script.py"], ["--help"]])
def test_a_command_says_which_models_came_first(tmp_path, files, command):
    write(tmp_path, files)
    process = run("-m", "roadmap", *command, folder=tmp_path)
    assert process.returncode == 2
    assert process.stderr.startswith(
        f"Error: `import models` finds {tmp_path / next(iter(files))} "
    )
    assert "start from another folder" in process.stderr
    assert process.stderr.count("\n") == 1
    assert process.stdout == ""  # nor is any code of theirs run


@pytest.mark.parametrize("code", ["from roadmap import ROADMAPS", "import roadmap.timm_models"])
@pytest.mark.parametrize("before", ["", "import models; "])
def test_python_says_so_too(tmp_path, code, before):
    write(tmp_path, {"models/__init__.py": ""})
    process = run("-c", before + code, folder=tmp_path)
    theirs = tmp_path / "models" / "__init__.py"
    said = f"\nImportError: `import models` finds {theirs} instead of {ROOT}"
    assert said in process.stderr
