"""Writes into every notebook a link to Colab and the cell that sets Colab up.

python notebooks/colab.py    # after a change of repo_url in mkdocs.yml
"""

from __future__ import annotations

import argparse
import re

import nbformat
from execute import FOLDER, NOTEBOOKS, fingerprint
from nbformat import NotebookNode

SETTINGS = FOLDER.parent / "mkdocs.yml"
LINK_TEXT = "[Open in Colab]("
FIRST_LINE = "# On Google Colab, fetch the project and install it; anywhere else, do nothing."


def repository() -> str:
    """Return the project's public address, from mkdocs.yml."""
    return re.search(r"^repo_url: (\S+)$", SETTINGS.read_text(encoding="utf-8"), re.MULTILINE)[1]


def link(name: str) -> str:
    path = repository().removeprefix("https://github.com/")
    address = f"https://colab.research.google.com/github/{path}/blob/main/notebooks/{name}.ipynb"
    return f"{LINK_TEXT}{address})"


def set_up() -> str:
    return (
        f"{FIRST_LINE}\n"
        "import sys\n\n"
        'if "google.colab" in sys.modules:\n'
        f"    %pip install --quiet git+{repository()}"
    )


def write(notebook: NotebookNode, name: str) -> None:
    """Write both at the top, replacing old ones; the other cells keep their outputs."""
    executed = notebook.metadata.roadmap.executed_sources == fingerprint(notebook)
    title, second = notebook.cells[:2]
    parts = [part for part in title.source.split("\n\n") if not part.startswith(LINK_TEXT)]
    title.source = "\n\n".join([parts[0], link(name), *parts[1:]])
    if second.source.startswith(FIRST_LINE):
        second.source = set_up()
        if executed:  # the cell has no output for any address
            notebook.metadata.roadmap.executed_sources = fingerprint(notebook)
    else:
        notebook.cells.insert(1, nbformat.v4.new_code_cell(set_up()))


def main() -> None:
    argparse.ArgumentParser(description=__doc__.splitlines()[0]).parse_args()
    for name, path in NOTEBOOKS.items():
        notebook = nbformat.read(path, as_version=4)
        write(notebook, name)
        nbformat.write(notebook, path)


if __name__ == "__main__":
    main()
