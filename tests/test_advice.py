"""What messages, pages and docstrings advise also works where the wheel is installed."""

import ast
import re
from pathlib import Path

import pytest
import typer.main

from roadmap.cli import app

ROOT = Path(__file__).parents[1]
MODULES = sorted(path for part in ("models", "roadmap") for path in (ROOT / part).rglob("*.py"))
COMMANDS = set(typer.main.get_command(app).commands)
TEXTS = [
    (path.relative_to(ROOT).as_posix(), node.value)
    for path in (*MODULES, ROOT / "app.py")
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
    if isinstance(node, ast.Constant) and isinstance(node.value, str)
]


def test_every_module_is_read():
    assert len({name for name, _ in TEXTS}) > 300


@pytest.mark.parametrize(
    "local",
    [
        r"pip install (-e|\.)",  # needs a checkout
        r"\.venv\b",
        r"`roadmap [a-z]",  # no command
        r"python benchmarks/\S+(?!.*checkout)",
    ],
)
def test_nothing_asks_for_a_checkout(local):
    assert [(name, text) for name, text in TEXTS if re.search(local, text, re.S)] == []


def test_commands_of_texts_exist():
    found = [
        (name, command)
        for name, text in TEXTS
        for command in re.findall(r"python -m roadmap ([a-z]+)\b(?!\.)", text)
    ]
    assert len(found) > 20
    assert [(name, command) for name, command in found if command not in COMMANDS] == []
