"""Executes the notebooks in place and adds a PNG to every chart.

python notebooks/execute.py                          # all of them
python notebooks/execute.py 04-read-the-results      # one
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import hashlib
import io
import json
import os
import sys
from pathlib import Path
from typing import Any

import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError
from nbformat import NotebookNode
from PIL import Image

FOLDER = Path(__file__).resolve().parent
NOTEBOOKS = {path.stem: path for path in sorted(FOLDER.glob("*.ipynb"))}
SECONDS = 300  # for one cell, on a busy machine
FIGURE, PICTURE = "application/vnd.plotly.v1+json", "image/png"
SCALE, COLORS = 2, 256  # picture pixels per chart pixel; a palette keeps the file small


async def execute(notebook: NotebookNode, folder: Path) -> None:
    """Run every cell from the start, in ``folder``; outputs and counts go into ``notebook``.

    Raises ``CellExecutionError``.
    """
    client = NotebookClient(
        notebook,
        timeout=SECONDS,
        kernel_name="python3",
        resources={"metadata": {"path": str(folder)}},
        record_timing=False,
        extra_arguments=["--log-level=ERROR"],
    )
    environment = {
        # This checkout's packages, even if another copy is installed.
        "PYTHONPATH": os.pathsep.join([str(FOLDER.parent), os.environ.get("PYTHONPATH", "")]),
        # timm imports a progress bar, which warns that Jupyter's widgets are missing.
        "PYTHONWARNINGS": "ignore:IProgress not found",
    }
    await client.async_execute(env=os.environ | environment)


def fingerprint(notebook: NotebookNode) -> str:
    """Return the hash of all sources; outputs stored with another hash are out of date."""
    sources = [(cell.cell_type, cell.source) for cell in notebook.cells]
    return hashlib.sha256(json.dumps(sources).encode()).hexdigest()


def tidy(notebook: NotebookNode) -> None:
    """Keep only the metadata that is the same after every execution."""
    notebook.metadata = NotebookNode(
        kernelspec={"display_name": "Python 3", "language": "python", "name": "python3"},
        language_info={"name": "python", "file_extension": ".py", "pygments_lexer": "ipython3"},
        roadmap={"executed_sources": fingerprint(notebook)},
    )
    for cell in notebook.cells:
        cell.metadata = NotebookNode()


def figures(notebook: NotebookNode) -> list[NotebookNode]:
    """Return the outputs that are charts."""
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", ())]
    return [output for output in outputs if FIGURE in output.get("data", {})]


async def add_pictures(notebook: NotebookNode, kaleido: Any) -> None:
    """Add a PNG of each chart to its output, for pages that run no scripts."""
    for output in figures(notebook):
        figure = output.data[FIGURE]
        size = {side: figure["layout"][side] for side in ("width", "height")}
        png = await kaleido.calc_fig(figure, opts={"format": "png", "scale": SCALE, **size})
        output.data[PICTURE] = base64.b64encode(_small(png)).decode()
        output.metadata[PICTURE] = size


def _small(png: bytes) -> bytes:
    file = io.BytesIO()
    Image.open(io.BytesIO(png)).convert("RGB").quantize(COLORS).save(file, "PNG", optimize=True)
    return file.getvalue()


def _browser() -> Any:
    """Return the browser that draws charts; exit with a message if there is none."""
    try:
        from kaleido import Kaleido
        from kaleido.errors import ChromeNotFoundError
    except ModuleNotFoundError:
        sys.exit("Pictures of charts need kaleido. Install it with pip install -e '.[dev]'.")
    try:
        return Kaleido(mathjax=False)
    except ChromeNotFoundError:
        sys.exit("Pictures of charts need Chromium. Install it, or run plotly_get_chrome.")


async def _execute_in_place(paths: list[Path]) -> None:
    async with _browser() as kaleido:
        for path in paths:
            notebook = nbformat.read(path, as_version=4)
            print(path.name, flush=True)
            await execute(notebook, FOLDER)
            tidy(notebook)
            await add_pictures(notebook, kaleido)
            nbformat.validate(notebook)
            nbformat.write(notebook, path)


def main() -> None:
    parser = argparse.ArgumentParser(description="Execute the notebooks in place.")
    which = f"one or more of {', '.join(NOTEBOOKS)} [default: all]"
    parser.add_argument("names", nargs="*", metavar="NAME", help=which)
    names = parser.parse_args().names
    for name in names:
        if name not in NOTEBOOKS:
            parser.error(f"unknown notebook {name!r}; choose from {', '.join(NOTEBOOKS)}")
    try:
        asyncio.run(_execute_in_place([NOTEBOOKS[name] for name in names or NOTEBOOKS]))
    except CellExecutionError as error:
        sys.exit(f"A cell failed; its notebook was not changed.\n{error}")


if __name__ == "__main__":
    main()
