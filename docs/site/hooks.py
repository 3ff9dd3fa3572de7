"""What the site has beyond docs/: notebooks, other texts of the repository, the command line.

Links stay as they are in the repository, where they lead from file to file. Here they are turned
into links to the site's pages, or to the repository's address where a file has no page.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path, PurePosixPath

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page
from nbconvert import MarkdownExporter

ROOT = Path(__file__).resolve().parents[2]
PROGRAM = "python -m roadmap"
#: Texts outside docs/ and their places in the site.
TEXTS = {
    "CHANGELOG.md": "changelog.md",
    "CONTRIBUTING.md": "contributing.md",
    "results/measured/README.md": "results/measured.md",
    "results/paper/README.md": "results/paper.md",
}
NOTEBOOKS = {
    f"notebooks/{path.name}": f"notebooks/{path.stem}.md"
    for path in sorted((ROOT / "notebooks").glob("*.ipynb"))
}
PLACES = TEXTS | NOTEBOOKS
#: A link in Markdown to a file of the repository: its text up to the path, path, anchor.
LINK = re.compile(r"(\]\()(?!\w+:|#)([^)#\s]+)(#[^)\s]*)?\)")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    for path, uri in TEXTS.items():
        files.append(File.generated(config, uri, abs_src_path=str(ROOT / path)))
    for path, uri in NOTEBOOKS.items():
        for name, content in _notebook(ROOT / path).items():
            place = str(PurePosixPath(uri).parent / name)
            files.append(File.generated(config, place, content=content))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    uri = page.file.src_uri
    if uri == "reference/cli.md":
        markdown += _command_line()
    paths = {place: path for path, place in PLACES.items()}
    source = PurePosixPath(paths.get(uri, f"docs/{uri}"))

    def replaced(link: re.Match[str]) -> str:
        before, path, anchor = link[1], link[2], link[3] or ""
        if source.suffix == ".ipynb" and files.get_file_from_path(
            str(PurePosixPath(uri).parent / path)
        ):
            return link[0]  # a picture of an output
        found = os.path.normpath(source.parent / path)
        if not (ROOT / found).exists():
            raise PluginError(f"{source} links to {path}, which does not exist")
        place = PLACES.get(found) or (found[5:] if found.startswith("docs/") else None)
        if place:
            return f"{before}{os.path.relpath(place, PurePosixPath(uri).parent)}{anchor})"
        return f"{before}{config.repo_url.rstrip('/')}/blob/main/{found}{anchor})"

    return LINK.sub(replaced, markdown)


def _notebook(path: Path) -> dict[str, str | bytes]:
    """The page and the pictures of a notebook as it is committed; nothing is executed."""
    text, resources = MarkdownExporter().from_filename(
        str(path), resources={"unique_key": path.stem, "output_files_dir": f"{path.stem}_files"}
    )
    return {f"{path.stem}.md": text, **resources["outputs"]}


def _command_line() -> str:
    """Every command with its options, by Typer from the help texts."""
    line = [sys.executable, "-m", "typer", "roadmap.cli", "utils", "docs", "--name", PROGRAM]
    done = subprocess.run(line, cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        raise PluginError(f"the commands' reference cannot be made: {done.stderr}")
    # The program's own section cuts the commands' help short; theirs have all of it.
    return done.stdout[done.stdout.index("\n## ") :]
