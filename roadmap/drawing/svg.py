"""SVG shapes for diagrams, in the theme of the surrounding page."""

from __future__ import annotations

import re
from collections.abc import Sequence
from html import escape
from typing import NamedTuple

from roadmap.palette import BLUE, LIGHT_BACKGROUND, LIGHT_TEXT

LINE = 'fill="none" stroke="currentColor" stroke-opacity="0.55" stroke-width="1.5"'
FITTED = ' style="max-width:100%;height:auto"'  # to the surrounding page
SIZE = re.compile(r'viewBox="0 0 ([\d.]+) ([\d.]+)"')
DESCRIBED = re.compile(r'aria-label="([^"]*)"')
GAP, HEAD = 24, 32  # of a sheet, in pixels: around and above its panels


class Area(NamedTuple):
    """The box of a part in a picture, in the picture's pixels, for pages on which it is clicked.

    ``name`` identifies the part, ``title`` names it for readers.
    """

    name: str
    title: str
    left: float
    top: float
    width: float
    height: float


def picture(width: float, height: float, body: str, described: str) -> str:
    """Return a complete SVG; ``described`` is its text alternative."""
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height:.0f}" '
        f'width="{width}" height="{height:.0f}" role="img" aria-label="{escape(described)}"'
        f'{FITTED} font-family="inherit" fill="currentColor">{body}</svg>'
    )


def sheet(panels: Sequence[str], captions: Sequence[str]) -> str:
    """Combine complete pictures side by side, under their ``captions``, into one SVG.

    It is dark on white, since an image file cannot follow a page's theme.
    """
    x, lowest = float(GAP), 0.0
    pieces: list[str] = []
    described: list[str] = []
    for panel, caption in zip(panels, captions, strict=True):
        size, description = SIZE.search(panel), DESCRIBED.search(panel)
        assert size and description  # every picture of ours has both
        width, height = (float(side) for side in size.groups())
        described.append(f"{escape(caption)}: {description[1]}")
        placed = panel.replace(FITTED, "", 1).replace("<svg", f'<svg x="{x:.0f}" y="{HEAD}"', 1)
        pieces += [label(x, 22, caption, bold=True), placed]
        x, lowest = x + width + GAP, max(lowest, height)
    height = HEAD + lowest + GAP / 2
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {x:.0f} {height:.0f}" '
        f'width="{x:.0f}" height="{height:.0f}" role="img" aria-label="{" ".join(described)}" '
        f'font-family="sans-serif" color="{LIGHT_TEXT}" fill="currentColor">'
        f'<rect width="100%" height="100%" fill="{LIGHT_BACKGROUND}"/>{"".join(pieces)}</svg>'
    )


def ink(mark: str | None, solid: bool = True) -> str:
    """Return a shape's fill and outline: blue if new or changed, dashed if removed."""
    if mark == "removed":
        return (
            'fill="currentColor" fill-opacity="0.04" stroke="currentColor" stroke-opacity="0.6" '
            'stroke-width="1.5" stroke-dasharray="4 3"'
        )
    color = BLUE if mark else "currentColor"
    opacity = (0.34 if solid else 0.16) if mark else (0.13 if solid else 0.05)
    return (
        f'fill="{color}" fill-opacity="{opacity}" stroke="{color}" '
        f'stroke-opacity="{1 if mark else 0.5}" stroke-width="{1.75 if mark else 1}"'
    )


def label(
    x: float,
    y: float,
    text: str,
    *,
    anchor: str = "start",
    faint: bool = False,
    bold: bool = False,
    small: bool = False,
    struck: str | None = None,
) -> str:
    more = f' text-anchor="{anchor}"' if anchor != "start" else ""
    more += ' font-weight="600"' if bold else ""
    more += ' fill-opacity="0.72"' if faint else ""
    more += ' text-decoration="line-through"' if struck == "removed" else ""
    size = 12 if small or faint else 13
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size}" fill="currentColor"{more}>'
        f"{escape(text)}</text>"
    )
