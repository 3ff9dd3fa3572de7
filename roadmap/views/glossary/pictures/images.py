"""Drawings of what training does to pictures: augmentation and mixing."""

from __future__ import annotations

import random

from roadmap.palette import BLUE, GRAY, ORANGE
from roadmap.views.glossary.shapes import arrow, cells, drawing, n, rect, word

#: Share of the first picture in the drawing of Mixup, and sides of CutMix's rectangle as shares.
MIXED, CUT = 0.7, 0.5
SIDE, TOP = 76, 24  # of a picture, in pixels


def mixup() -> str:
    return _sum(
        f"A disc and a triangle, blended {MIXED:.0%} to {1 - MIXED:.0%}; so are their labels.",
        _disc(178, MIXED) + _triangle(178, 24, 1 - MIXED),
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
        _disc(178)
        + rect(178 + SIDE - inner, 24 + SIDE - inner, inner, inner, ORANGE, fill=0.12)
        + pasted,
        share,
    )


def _sum(described: str, mixed: str, share: float) -> str:
    """Draw two pictures, and what becomes of them, with the shares of their labels."""
    return drawing(
        described,
        _frame(6, _disc(6)),
        _frame(88, _triangle(88, 24)),
        arrow((166, 62), (176, 62)),
        _frame(178, mixed),
        word(44, 120, "1, 0"),
        word(126, 120, "0, 1"),
        word(216, 120, f"{share:g}, {1 - share:.2g}", bold=True),
    )


def rand_augment() -> str:
    return _augmented(
        "A picture of a house, and the same picture sheared and rotated at random.",
        "rotate(-24 {0}) translate({0}) skewX(-16) translate(-{1} -{2})",
        word(130, 50, "shear,") + word(130, 82, "rotate"),
        "different for every image",
    )


def trivial_augment() -> str:
    return _augmented(
        "A picture of a house, and the same picture rotated: one operation.",
        "rotate(38 {0})",
        word(130, 50, "rotate"),
        "one operation per image",
    )


def _augmented(described: str, transform: str, operations: str, below: str) -> str:
    """Draw a house and, beside it, the same after ``transform``.

    In ``transform``, {0} is the middle of the second picture, {1} and {2} its coordinates.
    """
    x, y = n(178 + SIDE / 2), n(TOP + SIDE / 2)
    moved = f'<g transform="{transform.format(f"{x} {y}", x, y)}">{_house(178, ORANGE)}</g>'
    return drawing(
        described,
        _frame(6, _house(6, BLUE)),
        arrow((92, 62), (168, 62)),
        operations,
        _frame(178, moved),
        word(130, 124, below),
    )


def random_erasing() -> str:
    noise = random.Random(2)
    speckled = {(r, c) for r in range(6) for c in range(8) if noise.random() < 0.5}
    return drawing(
        "A picture of a disc, and the same picture with a rectangle of noise in it.",
        _frame(32, _disc(32)),
        arrow((116, 62), (144, 62)),
        _frame(152, _disc(152)),
        rect(160, 34, 48, 36, GRAY, fill=1),
        cells(160, 34, 6, speckled, ORANGE, 0.9),
    )


def _frame(x: float, shape: str) -> str:
    return rect(x, TOP, SIDE, SIDE, fill=0.06) + shape


def _disc(x: float, opacity: float = 1) -> str:
    middle = SIDE / 2
    return (
        f'<circle cx="{n(x + middle)}" cy="{n(TOP + middle)}" r="28" fill="{BLUE}" '
        f'fill-opacity="{0.85 * opacity:.2g}"/>'
    )


def _triangle(x: float, y: float, opacity: float = 1) -> str:
    points = f"{n(x + 38)},{n(y + 8)} {n(x + 70)},{n(y + 68)} {n(x + 6)},{n(y + 68)}"
    return f'<polygon points="{points}" fill="{ORANGE}" fill-opacity="{0.85 * opacity:.2g}"/>'


def _house(x: float, color: str) -> str:
    walls = f'<rect x="{n(x + 23)}" y="{n(TOP + 36)}" width="30" height="24" fill="{color}"/>'
    roof = f"{n(x + 17)},{n(TOP + 36)} {n(x + 38)},{n(TOP + 16)} {n(x + 59)},{n(TOP + 36)}"
    return walls + f'<polygon points="{roof}" fill="{color}" fill-opacity="0.6"/>'
