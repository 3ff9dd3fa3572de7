"""The app served on this machine, and headless Chromium to use it."""

from __future__ import annotations

import functools
from contextlib import contextmanager

import pytest
from browser import ROOT, chromium, served
from playwright.sync_api import BrowserContext, Page, expect
from streamlit.components.v2 import manifest_scanner

from roadmap import visitors
from roadmap.runs.folders import RUNS_VARIABLE

FIRST = ROOT / "tests" / "support" / "forking_server.py"
WIDE = {"width": 1440, "height": 900}
BLANK = "about:blank"  # where idle pages are

PATIENCE = 60_000  # milliseconds: by default 5 s, which a busy machine may need for a click
expect.set_options(timeout=PATIENCE)


@pytest.fixture(autouse=True)
def owner(monkeypatch):
    """Streamlit's test harness says of no visitor where he is from: not the owner, otherwise."""
    monkeypatch.setenv(visitors.VARIABLE, "0")


@pytest.fixture
def root(tmp_path, monkeypatch):
    """An empty folder, which the app reads its runs from."""
    monkeypatch.setenv(RUNS_VARIABLE, str(tmp_path))
    return tmp_path


@pytest.fixture(autouse=True, scope="session")
def components_found_once():
    """Streamlit's test harness looks for components in all installed packages, for each app."""
    with pytest.MonkeyPatch.context() as patch:
        found = functools.cache(manifest_scanner.scan_component_manifests)
        patch.setattr(manifest_scanner, "scan_component_manifests", found)
        yield


@pytest.fixture(scope="session")
def address():
    with served(ROOT / "app.py", first=FIRST) as url:
        yield url


@pytest.fixture(scope="session")
def browser():
    with chromium("--process-per-site") as browser:
        yield browser


@pytest.fixture(scope="session")
def context(browser):
    """Return a function that gives a visitor's browser session, with or without a touch screen.

    A page takes two to three times as long if Chromium must first compile Streamlit and Plotly. So
    all pages of a session share one process, which its first page, a blank one, keeps running. The
    others are used again: a new one takes half a second of processor time.
    """
    contexts = {}

    def context(address: str, touch: bool) -> BrowserContext:
        if touch not in contexts:
            contexts[touch] = browser.new_context(has_touch=touch)
            contexts[touch].set_default_timeout(PATIENCE)
            contexts[touch].new_page().goto(f"{address}/_stcore/health")
        return contexts[touch]

    return context


@pytest.fixture(scope="module")
def visitor(context, address):
    """Makes an ``open_path`` for a while."""
    return functools.partial(_visiting, context, address)


@pytest.fixture
def open_path(context, address):
    """Opens a path of the app; afterwards nothing may have gone wrong in the browser."""
    with _visiting(context, address) as open_path:
        yield open_path


@contextmanager
def _visiting(context, address):
    pages, errors = [], []

    def open_path(path: str = "", viewport=WIDE, scheme: str = "light", touch=False) -> Page:
        own = context(address, touch)
        idle = (page for page in own.pages[1:] if page.url == BLANK and page not in pages)
        page = next(idle, None) or own.new_page()
        pages.append(page)
        page.set_viewport_size(viewport)
        page.emulate_media(color_scheme=scheme, media="null", reduced_motion="null")
        page.mouse.move(0, 0)
        for event, act in heard.items():
            page.on(event, act)
        page.goto(f"{address}/{path}")
        return page

    heard = {
        "pageerror": lambda error: errors.append(f"{error} at {[page.url for page in pages]}"),
        "request": lambda request: _check_host(request.url, address, errors),
    }
    try:
        yield open_path
    finally:
        for page in pages:
            for event, act in heard.items():
                page.remove_listener(event, act)
            if not page.is_closed():
                page.goto(BLANK)
        for first, *_ in [each.pages for each in {page.context for page in pages}]:
            if not first.url.startswith(f"{address}/"):
                first.goto(f"{address}/_stcore/health")
            first.evaluate("localStorage.clear()")  # the next visitor has not been here before
    assert errors == []


def _check_host(url: str, address: str, errors: list[str]) -> None:
    local = address.split("//")[1]
    if not url.startswith((f"http://{local}/", f"ws://{local}/", "data:", "blob:")):
        errors.append(f"asked another host: {url}")
