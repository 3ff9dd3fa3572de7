"""The shapes that diagrams are made of, as SVG that follows the theme of the page around it."""

from __future__ import annotations

from html import escape

from roadmap.palette import BLUE

LINE = 'fill="none" stroke="currentColor" stroke-opacity="0.55" stroke-width="1.5"'


def picture(width: float, height: float, body: str, described: str) -> str:
    """A whole picture; ``described`` is its text alternative."""
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height:.0f}" '
        f'width="{width}" height="{height:.0f}" role="img" aria-label="{escape(described)}" '
        f'style="max-width:100%;height:auto" font-family="inherit" fill="currentColor">{body}</svg>'
    )


def ink(mark: str | None, solid: bool = True) -> str:
    """Fill and outline of a shape: blue where new or changed, dashed where it goes."""
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
