"""The finder with a table of its own."""

import pytest

from roadmap.find import store


@pytest.fixture(autouse=True)
def table(tmp_path, monkeypatch):
    """The path of the user's table, which does not exist yet; no table is committed."""
    monkeypatch.setenv(store.VARIABLE, str(tmp_path / "finder"))
    monkeypatch.setattr(store, "RESULTS", tmp_path / "none")
    return tmp_path / "finder" / "finder.csv"
