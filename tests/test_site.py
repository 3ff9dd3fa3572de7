"""The documentation as a site: built as `make docs` builds it, every page with what it promises."""

import os
import re
import subprocess
import sys
from dataclasses import fields
from html.parser import HTMLParser
from pathlib import Path
from types import SimpleNamespace

import pytest
import typer.main
from colab import repository

import models
from models import ModelConfig
from roadmap.cli import app
from roadmap.recipes import Recipe
from roadmap.runs import __all__ as of_runs
from roadmap.train.settings import describe_field

ROOT = Path(__file__).parents[1]
HOOKS = ROOT / "docs" / "site"
#: Attributes of elements by which a browser fetches something as it opens a page.
FETCHED = {"script": "src", "img": "src", "iframe": "src", "source": "src", "video": "src"}


@pytest.fixture(scope="module")
def site(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    line = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder)]
    environment = os.environ | {"NO_MKDOCS_2_WARNING": "1", "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        line, cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return folder


class Page(HTMLParser):
    def __init__(self, path: Path):
        super().__init__()
        self.ids, self.links, self.fetched = set(), [], []
        self.text = path.read_text(encoding="utf-8")
        self.feed(self.text)

    def handle_starttag(self, tag, attrs):
        attributes = dict(attrs)
        self.ids.add(attributes.get("id"))
        if tag == "a":
            self.links.append(attributes.get("href") or "")
        if tag == "link" and attributes.get("rel") in ("stylesheet", "icon", "preconnect"):
            self.fetched.append(attributes["href"])
        if FETCHED.get(tag) in attributes:
            self.fetched.append(attributes[FETCHED[tag]])


@pytest.fixture(scope="module")
def pages(site) -> dict[str, Page]:
    found = sorted(site.rglob("index.html"))
    return {str(path.parent.relative_to(site)): Page(path) for path in found}


def test_every_text_and_notebook_is_a_page(pages):
    texts = {path.relative_to(ROOT / "docs").with_suffix("") for path in ROOT.glob("docs/**/*.md")}
    texts |= {path.relative_to(ROOT).with_suffix("") for path in ROOT.glob("notebooks/*.ipynb")}
    texts |= {Path(name) for name in ("changelog", "contributing", "results/measured")}
    found = set(pages)
    assert len(texts) > 20
    assert {str(path) for path in texts} - found == {"index"}
    assert "." in found


def test_no_page_fetches_anything_from_elsewhere(site, pages):
    for name, page in pages.items():
        assert page.fetched, name
        assert [url for url in page.fetched if re.match(r"(\w+:)?//", url)] == [], name
        assert 'data-md-component="source"' not in page.text, name
    styles = list(site.rglob("*.css"))
    assert pages
    assert styles
    for path in styles:
        assert not re.search(r"url\(['\"]?(https?:)?//", path.read_text(encoding="utf-8")), path


def test_links_to_files_without_a_page_lead_to_the_repository(pages):
    outside = f"{repository()}/blob/main/"
    found = {link for page in pages.values() for link in page.links if outside in link}
    assert f"{outside}Dockerfile" in found
    for link in found:
        assert (ROOT / link.removeprefix(outside).split("#")[0]).exists(), link


def test_a_link_that_leads_nowhere_stops_the_build(monkeypatch):
    monkeypatch.syspath_prepend(HOOKS)
    import hooks

    page = SimpleNamespace(file=SimpleNamespace(src_uri="training.md"))
    config = SimpleNamespace(repo_url=repository())
    with pytest.raises(hooks.PluginError, match=r"docs/training.md links to ../nowhere.md"):
        hooks.on_page_markdown("[this](../nowhere.md)", page, config, None)


def test_the_reference_has_what_is_public(pages):
    ids = pages["reference/models"].ids
    assert {f"models.config.ModelConfig.{field.name}" for field in fields(ModelConfig)} <= ids
    names = {name.rpartition(".")[2] for name in ids if name}
    assert set(models.__all__) <= names
    ids = pages["reference/recipes"].ids
    assert {f"roadmap.recipes.Recipe.{field.name}" for field in fields(Recipe)} <= ids
    assert describe_field("label_smoothing") in pages["reference/recipes"].text
    names = {name.rpartition(".")[2] for name in pages["reference/runs"].ids if name}
    assert set(of_runs) <= names
    assert "roadmap.definition.Roadmap.build" in pages["reference/steps"].ids
    assert "roadmap.study.effects.Effects" in pages["reference/study"].ids


def test_the_reference_has_every_command_and_option(pages):
    sections = pages["reference/cli"].text.split("<h2 ")[1:]
    commands = typer.main.get_command(app).commands
    assert len(commands) > 10
    for name, command in commands.items():
        [section] = [s for s in sections if f"python -m roadmap {name}</code>" in s]
        options = [option for option in command.params if option.opts[0].startswith("--")]
        assert [o.opts[0] for o in options if not o.hidden and o.opts[0] not in section] == [], name


def test_notebooks_show_their_charts(site, pages):
    notebooks = list(ROOT.glob("notebooks/*.ipynb"))
    assert len(notebooks) > 5
    for path in notebooks:
        page = pages[f"notebooks/{path.stem}"]
        pictures = [url for url in page.fetched if f"{path.stem}_files/" in url]
        assert pictures, path.name
        for url in pictures:
            assert (site / "notebooks" / path.stem / url).resolve().is_file()
