"""Drawings of measures: accuracy, cost, speed and certainty."""

from __future__ import annotations

import random

from roadmap.palette import BLUE, ORANGE
from roadmap.views.glossary.shapes import (
    CHANNELS,
    Point,
    arrow,
    bars,
    drawing,
    grid,
    layer,
    line,
    rect,
    square,
    word,
)

#: Pictures, and which of them are classified correctly, in the drawing of top-1.
PICTURES, WRONG = 10, (3, 8)
KERNEL, INPUTS, OUTPUTS = 3, 64, 64


def top1() -> str:
    shapes = []
    for i in range(PICTURES):
        row, column = divmod(i, 5)
        x, y = 20 + 46 * column, 10 + 48 * row
        wrong = i in WRONG
        shapes.append(rect(x, y, 38, 38, ORANGE if wrong else BLUE, fill=0.2))
        sign = (
            line([(x + 12, y + 12), (x + 26, y + 26)], ORANGE, width=3)
            + line([(x + 26, y + 12), (x + 12, y + 26)], ORANGE, width=3)
            if wrong
            else line([(x + 10, y + 20), (x + 17, y + 27), (x + 29, y + 11)], BLUE, width=3)
        )
        shapes.append(sign)
    right = PICTURES - len(WRONG)
    return drawing(
        f"{right} of {PICTURES} pictures are classified correctly.",
        *shapes,
        word(130, 130, f"{right} of {PICTURES}: {right / PICTURES:.0%}"),
    )


def gflops() -> str:
    count = KERNEL**2
    return drawing(
        f"A window of {KERNEL} by {KERNEL} inputs times {count} weights, summed: {count} "
        "multiply-adds.",
        grid(14, 22, 3, 3, 24, square(range(3), range(3)), BLUE),
        word(104, 64, "×"),
        grid(122, 22, 3, 3, 24, square(range(3), range(3)), ORANGE),
        word(212, 64, "="),
        rect(229, 51, 16, 16, fill=0.5),
        word(50, 114, "inputs"),
        word(158, 114, "weights"),
        word(237, 92, "sum"),
        word(130, 134, f"{count} multiply-adds"),
    )


def parameters() -> str:
    shapes = []
    for i in reversed(range(5)):
        color = CHANNELS[i % 4]
        x, y = 30 + 26 * i, 54 - 10 * i
        shapes.append(rect(x, y, 48, 48, fill=0.1))
        shapes.append(grid(x, y, 3, 3, 16, square(range(3), range(3)), color))
    count = KERNEL**2 * INPUTS * OUTPUTS
    return drawing(
        f"Kernels of {KERNEL} by {KERNEL} weights, one for each pair of {INPUTS} input and "
        f"{OUTPUTS} output channels: {count:,} parameters.",
        *shapes,
        word(130, 130, f"{KERNEL}·{KERNEL}·{INPUTS}·{OUTPUTS} = {count:,}"),
    )


def throughput() -> str:
    return drawing(
        "Images go through a network; how many leave it within a second is counted.",
        *(rect(8 + 8 * i, 54 - 8 * i, 34, 34, BLUE, fill=0.35) for i in reversed(range(4))),
        arrow((74, 64), (92, 64)),
        layer(96, 42, 70, 44, "network", ORANGE),
        arrow((170, 64), (190, 64)),
        *(bars(198, 56 + 12 * i, [7], width) for i, width in enumerate((50, 30, 18))),
        word(223, 112, "per second"),
        word(38, 112, "images"),
    )


def interval() -> str:
    found = intervals()
    shapes = [line([(130, 4), (130, 114)], width=1)]
    for i, (low, high) in enumerate(found):
        color = BLUE if low < 0 < high else ORANGE
        y = 8 + 5.4 * i
        shapes.append(line([(130 + 70 * low, y), (130 + 70 * high, y)], color, width=2.5))
    missed = sum(not low < 0 < high for low, high in found)
    return drawing(
        f"Intervals of {len(found)} experiments; all but {missed} contain the true value.",
        *shapes,
        word(130, 132, "true value"),
    )


def intervals(count: int = 20, draws: int = 9, seed: int = 5) -> list[Point]:
    """Return 95% intervals of the mean of normal values around 0 with standard deviation 1."""
    noise = random.Random(seed)
    half = 1.96 / draws**0.5
    means = [sum(noise.gauss(0, 1) for _ in range(draws)) / draws for _ in range(count)]
    return [(mean - half, mean + half) for mean in means]
