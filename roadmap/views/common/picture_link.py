"""The link from a step to the page Picture. Imports no torch."""

from __future__ import annotations

from html import escape
from urllib.parse import urlencode

from roadmap.definition import Roadmap
from roadmap.tables.pocket import ROADMAP, shipped


def picture_link(roadmap: Roadmap, key: str) -> str:
    """Return a link that compares step ``key`` with the one before it on a picture.

    For a step without a trained network, the link names the nearest step before it that has one.
    """
    near = _nearest(roadmap, key)
    previous = ROADMAP.previous(near)
    chosen = {"a": previous.key, "b": near} if previous else {"a": near}
    words = "Run it on a picture"
    if (roadmap, key) != (ROADMAP, near):
        words = f"Run the nearest trained network on a picture: {ROADMAP.step(near).title}"
    return (
        f'<p class="faint"><a href="picture?{escape(urlencode(chosen))}" target="_self">'
        f"{escape(words)}</a></p>"
    )


def _nearest(roadmap: Roadmap, key: str) -> str:
    """Return the last step up to ``key`` that has a trained network under its name."""
    before = roadmap.keys[: roadmap.keys.index(key) + 1]
    return next((step for step in reversed(before) if step in shipped()), ROADMAP.keys[0])
