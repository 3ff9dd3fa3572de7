"""The app served on this machine, and headless Chromium to use it."""

from __future__ import annotations

import pytest
from browser import ROOT, chromium, served
from playwright.sync_api import Page

from roadmap import visitors

WIDE = {"width": 1440, "height": 900}


@pytest.fixture(autouse=True)
def owner(monkeypatch):
    """Streamlit's test harness says of no visitor where he is from: not the owner, otherwise."""
    monkeypatch.setenv(visitors.VARIABLE, "0")


@pytest.fixture(scope="session")
def address():
    with served(ROOT / "app.py") as url:
        yield url


@pytest.fixture(scope="session")
def browser():
    with chromium() as browser:
        yield browser


@pytest.fixture
def open_path(browser, address):
    """Opens a path of the app; afterwards nothing may have gone wrong in the browser."""
    contexts, errors = [], []

    def open_path(path: str = "", viewport=WIDE, scheme: str = "light", touch=False) -> Page:
        context = browser.new_context(viewport=viewport, color_scheme=scheme, has_touch=touch)
        contexts.append(context)
        page = context.new_page()
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.on("request", lambda request: _check_host(request.url, address, errors))
        page.goto(f"{address}/{path}")
        return page

    yield open_path
    for context in contexts:
        context.close()
    assert errors == []


def _check_host(url: str, address: str, errors: list[str]) -> None:
    local = address.split("//")[1]
    if not url.startswith((f"http://{local}/", f"ws://{local}/", "data:", "blob:")):
        errors.append(f"asked another host: {url}")
