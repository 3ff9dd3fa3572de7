"""Drawings of what layers do to values: norms and activations."""

from __future__ import annotations

import math

from roadmap.palette import BLUE, ORANGE
from roadmap.views.glossary.shapes import (
    CHANNELS,
    Axes,
    arrow,
    bars,
    cells,
    drawing,
    line,
    lines,
    square,
    word,
)

IMAGES, ROWS, COLUMNS = 3, 3, 4  # images, channels, positions
#: Strength of each channel in the drawing of GRN.
STRENGTHS = (1.0, 2.0, 3.0, 6.0)
PLOT = Axes((-3, 3), (-0.6, 3), (40, 12, 220, 122))


def relu(x: float) -> float:
    return max(x, 0.0)


def gelu(x: float) -> float:
    """Return x · Φ(x), where Φ is the standard normal distribution function."""
    return x * (1 + math.erf(x / math.sqrt(2))) / 2


def batch_norm() -> str:
    return _averaged(
        {(image, 1, place) for image in range(IMAGES) for place in range(COLUMNS)},
        "one channel, all images",
        "Values of three images; those of one channel in all images are averaged together.",
    )


def layer_norm() -> str:
    return _averaged(
        {(1, row, 2) for row in range(ROWS)},
        "one position, all channels",
        "Values of three images; those of all channels at one position are averaged together.",
    )


def _averaged(together: set[tuple[int, int, int]], said: str, described: str) -> str:
    """Draw the values (image, channel, position) with those averaged ``together`` filled."""
    shapes = []
    for image in range(IMAGES):
        x = 14 + 82 * image
        chosen = {(row, column) for at, row, column in together if at == image}
        others = square(range(ROWS), range(COLUMNS)) - chosen
        shapes.append(cells(x, 32, 17, others, BLUE, 0.15))
        shapes.append(cells(x, 32, 17, chosen, ORANGE, 0.85))
        shapes.append(lines(x, 32, ROWS, COLUMNS, 17))
        shapes.append(word(x + 34, 22, f"image {image + 1}"))
    return drawing(described, *shapes, word(130, 108, said), word(130, 128, "→ mean, variance"))


def response_norm() -> str:
    mean = sum(STRENGTHS) / len(STRENGTHS)
    factors = [strength / mean for strength in STRENGTHS]
    names = "".join(word(163 + 28 * i, 122, f"{factor:.1f}") for i, factor in enumerate(factors))
    return drawing(
        "Strengths of four channels and their factors: each strength divided by the mean.",
        bars(12, 104, [14 * strength for strength in STRENGTHS], 20, CHANNELS),
        line([(8, 104 - 14 * mean), (110, 104 - 14 * mean)], width=1),
        word(116, 108 - 14 * mean, "mean", anchor="start"),
        bars(152, 104, [14 * mean * factor / 1.5 for factor in factors], 22, CHANNELS, 6),
        word(60, 122, "strength"),
        names,
        word(206, 137, "factor"),
    )


def activation() -> str:
    samples = (-2.0, -0.8, 0.5, 1.4, -0.3)
    shapes = []
    for i, x in enumerate(samples):
        for left, value in ((20, x), (160, gelu(x))):
            color = ORANGE if value < 0 else BLUE
            top = 64 - 24 * max(value, 0)
            shapes.append(bars(left + 18 * i, top + 24 * abs(value), [24 * abs(value)], 12, color))
    return drawing(
        "Five values before and after an activation: the negative ones become almost zero.",
        *shapes,
        line([(14, 64), (110, 64)], width=1),
        line([(154, 64), (250, 64)], width=1),
        word(132, 60, "GELU"),
        arrow((116, 68), (146, 68)),
        word(62, 132, "before"),
        word(202, 132, "after"),
    )


def relu_curve() -> str:
    return drawing(
        "ReLU: zero for negative inputs, the input itself otherwise.",
        PLOT.drawn(0, 0),
        PLOT.line([(x, relu(x)) for x in (-3, 0, 3)], BLUE),
        word(46, 40, "max(0, x)", anchor="start"),
    )


def gelu_curve() -> str:
    return drawing(
        "GELU: close to ReLU, but smooth, and slightly negative below zero.",
        PLOT.drawn(0, 0),
        PLOT.curve(gelu, ORANGE),
        word(46, 40, "x · Φ(x)", anchor="start"),
    )
