"""The link from a step to the page Picture. Imports no torch."""

from __future__ import annotations

from html import escape
from urllib.parse import urlencode

from roadmap.definition import Roadmap
from roadmap.views.picture.networks import ROADMAP, shipped


def link(roadmap: Roadmap, key: str) -> str:
    """Return a link that compares step ``key`` with the one before it on a picture; nothing if the
    step has no trained network."""
    if roadmap is not ROADMAP or key not in shipped():
        return ""
    previous = roadmap.previous(key)
    chosen = {"a": previous.key, "b": key} if previous else {"a": key}
    return (
        f'<p class="faint"><a href="picture?{escape(urlencode(chosen))}" target="_self">'
        "Run it on a picture</a></p>"
    )
