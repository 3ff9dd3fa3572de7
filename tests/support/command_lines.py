"""Command lines and Python in texts; the commands and options that there are."""

from __future__ import annotations

import re
import shlex

import typer.main

from roadmap.cli import app


def command_lines(text: str) -> list[str]:
    """What begins with ``python -m roadmap``, as a line or between backticks.

    Dots and ``> FILE`` are left out.
    """
    pattern = r"(?:^|(?<=`))(?:\S*torchrun .*-m|(?:\S*/)?python -m) roadmap [^`\n]+"
    lines = re.findall(pattern, text.replace("\\\n", " "), re.M)
    return [line.replace(" ...", "").split(" > ")[0] for line in lines]


def python_blocks(text: str) -> list[str]:
    """What is between ```python and ```."""
    return re.findall(r"^```python\n(.*?)^```", text, re.M | re.S)


def checked(line: str) -> None:
    """Raises a ``click.UsageError`` where a command, an option or a choice does not exist."""
    words = shlex.split(line[line.index("roadmap ") :], comments=True)
    command = typer.main.get_command(app).commands[words[1]]
    command.make_context(words[1], words[2:])
