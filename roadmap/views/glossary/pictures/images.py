"""Drawings of what training does to pictures: augmentation and mixing."""

from __future__ import annotations

import random

from roadmap.palette import BLUE, GRAY, ORANGE
from roadmap.views.glossary.shapes import arrow, cells, drawing, n, rect, word

#: Share of the first picture in the drawing of Mixup, and sides of CutMix's rectangle as shares.
MIXED, CUT = 0.7, 0.5
SIDE = 76  # of a picture, in pixels


def mixup() -> str:
    return _sum(
        f"A disc and a triangle, blended {MIXED:.0%} to {1 - MIXED:.0%}; so are their labels.",
        _disc(178, 24, MIXED) + _triangle(178, 24, 1 - MIXED),
        MIXED,
    )


def cutmix() -> str:
    share = 1 - CUT**2
    inner = CUT * SIDE
    pasted = (
        f'<svg x="{n(178 + SIDE - inner)}" y="{n(24 + SIDE - inner)}" width="{n(inner)}" '
        f'height="{n(inner)}" viewBox="{n(SIDE - inner)} {n(SIDE - inner)} {n(inner)} {n(inner)}">'
        f"{_triangle(0, 0)}</svg>"
    )
    return _sum(
        f"A rectangle of the triangle's picture, {1 - share:.0%} of the area, replaces that of a "
        "disc's; labels are mixed in proportion.",
        _disc(178, 24)
        + rect(178 + SIDE - inner, 24 + SIDE - inner, inner, inner, ORANGE, fill=0.12)
        + pasted,
        share,
    )


def _sum(described: str, mixed: str, share: float) -> str:
    """Draw two pictures, and what becomes of them, with the shares of their labels."""
    return drawing(
        described,
        _frame(6, 24, _disc(6, 24)),
        _frame(88, 24, _triangle(88, 24)),
        arrow((166, 62), (176, 62)),
        _frame(178, 24, mixed),
        word(44, 120, "1, 0"),
        word(126, 120, "0, 1"),
        word(216, 120, f"{share:g}, {1 - share:.2g}", bold=True),
    )


def rand_augment() -> str:
    x, y = 178 + SIDE / 2, 24 + SIDE / 2
    moved = (
        f'<g transform="rotate(-24 {n(x)} {n(y)}) translate({n(x)} {n(y)}) skewX(-16) '
        f'translate(-{n(x)} -{n(y)})">{_house(178, 24, ORANGE)}</g>'
    )
    return drawing(
        "A picture of a house, and the same picture sheared and rotated at random.",
        _frame(6, 24, _house(6, 24, BLUE)),
        arrow((92, 62), (168, 62)),
        word(130, 50, "shear,"),
        word(130, 82, "rotate"),
        _frame(178, 24, moved),
        word(130, 124, "different for every image"),
    )


def trivial_augment() -> str:
    x, y = 178 + SIDE / 2, 24 + SIDE / 2
    turned = f'<g transform="rotate(38 {n(x)} {n(y)})">{_house(178, 24, ORANGE)}</g>'
    return drawing(
        "A picture of a house, and the same picture rotated: one operation.",
        _frame(6, 24, _house(6, 24, BLUE)),
        arrow((92, 62), (168, 62)),
        word(130, 50, "rotate"),
        _frame(178, 24, turned),
        word(130, 124, "one operation per image"),
    )


def random_erasing() -> str:
    noise = random.Random(2)
    speckled = {(r, c) for r in range(6) for c in range(8) if noise.random() < 0.5}
    return drawing(
        "A picture of a disc, and the same picture with a rectangle of noise in it.",
        _frame(32, 24, _disc(32, 24)),
        arrow((116, 62), (144, 62)),
        _frame(152, 24, _disc(152, 24)),
        rect(160, 34, 48, 36, GRAY, fill=1),
        cells(160, 34, 6, speckled, ORANGE, 0.9),
    )


def _frame(x: float, y: float, shape: str) -> str:
    return rect(x, y, SIDE, SIDE, fill=0.06) + shape


def _disc(x: float, y: float, opacity: float = 1) -> str:
    middle = SIDE / 2
    return (
        f'<circle cx="{n(x + middle)}" cy="{n(y + middle)}" r="28" fill="{BLUE}" '
        f'fill-opacity="{0.85 * opacity:.2g}"/>'
    )


def _triangle(x: float, y: float, opacity: float = 1) -> str:
    points = f"{n(x + 38)},{n(y + 8)} {n(x + 70)},{n(y + 68)} {n(x + 6)},{n(y + 68)}"
    return f'<polygon points="{points}" fill="{ORANGE}" fill-opacity="{0.85 * opacity:.2g}"/>'


def _house(x: float, y: float, color: str) -> str:
    walls = f'<rect x="{n(x + 23)}" y="{n(y + 36)}" width="30" height="24" fill="{color}"/>'
    roof = f"{n(x + 17)},{n(y + 36)} {n(x + 38)},{n(y + 16)} {n(x + 59)},{n(y + 36)}"
    return walls + f'<polygon points="{roof}" fill="{color}" fill-opacity="0.6"/>'
