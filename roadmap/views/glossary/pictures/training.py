"""Drawings of training: optimizers, schedules, averages and regularization."""

from __future__ import annotations

import math
import random

from roadmap.palette import BLUE, GRAY, ORANGE
from roadmap.recipes import RECIPES
from roadmap.schedule import learning_rate
from roadmap.views.glossary.shapes import Axes, Point, bars, dot, drawing, line, word

CONVNEXT = RECIPES["convnext"]
#: The drawing of optimizers minimizes (x² + STEEP y²) / 2 from START.
STEEP, START = 20.0, (-10.0, 1.0)
CURVE = Axes((0, 300), (0, 1), (14, 16, 250, 112))
SMOOTHING, CLASSES = 0.1, 5


def gradient(at: Point) -> Point:
    return at[0], STEEP * at[1]


def sgd_path(steps: int = 24, lr: float = 0.09) -> list[Point]:
    """Return the points of gradient descent on the valley."""
    path = [START]
    for _ in range(steps):
        x, y = path[-1]
        down = gradient(path[-1])
        path.append((x - lr * down[0], y - lr * down[1]))
    return path


def adamw_path(steps: int = 24, lr: float = 0.6, decay: float = 0.01) -> list[Point]:
    """Return the points of AdamW (Loshchilov and Hutter 2019) on the valley, betas 0.9, 0.999."""
    path, first, second = [START], [0.0, 0.0], [0.0, 0.0]
    for step in range(1, steps + 1):
        down, point = gradient(path[-1]), list(path[-1])
        for i in (0, 1):
            first[i] = 0.9 * first[i] + 0.1 * down[i]
            second[i] = 0.999 * second[i] + 0.001 * down[i] ** 2
            mean, square = first[i] / (1 - 0.9**step), second[i] / (1 - 0.999**step)
            point[i] -= lr * (mean / (math.sqrt(square) + 1e-8) + decay * point[i])
        path.append((point[0], point[1]))
    return path


def averages(values: list[float], decay: float) -> list[float]:
    """Return the exponential moving average after each of ``values``."""
    found = values[:1]
    for value in values[1:]:
        found.append(decay * found[-1] + (1 - decay) * value)
    return found


def smoothed() -> list[float]:
    """Return the targets of ``CLASSES`` classes, of which the second is correct."""
    return [(i == 1) * (1 - SMOOTHING) + SMOOTHING / CLASSES for i in range(CLASSES)]


def sgd() -> str:
    return _valley(sgd_path(), BLUE, "SGD goes from side to side in a narrow valley.")


def adamw() -> str:
    return _valley(adamw_path(), ORANGE, "AdamW takes steps of similar size in both directions.")


def _valley(path: list[Point], color: str, described: str) -> str:
    axes = Axes((-11, 11), (-2.6, 2.6), (6, 8, 254, 132))
    turns = [2 * math.pi * i / 30 for i in range(31)]
    rings = [
        axes.line([(r * math.cos(t), r * math.sin(t) / math.sqrt(STEEP)) for t in turns], GRAY, 1)
        for r in (1.5, 4, 7, 10)
    ]
    ends = dot(*axes.at(*path[0]), 4, color) + dot(*axes.at(0, 0), 3)
    return drawing(described, *rings, axes.line(path, color, 2), ends)


def cosine_schedule() -> str:
    return drawing(
        "The learning rate over 300 epochs: up in the first 20, then down along a cosine to zero.",
        CURVE.drawn(0, 0),
        CURVE.line(_rates(range(0, 301, 4)), BLUE),
        word(236, 132, "300 epochs", anchor="end"),
        word(100, 30, "learning rate", anchor="start"),
    )


def warm_up() -> str:
    start = CONVNEXT.warmup_epochs
    return drawing(
        f"The learning rate rises linearly in the first {start} epochs.",
        CURVE.drawn(0, 0),
        CURVE.line(_rates(range(start, 301, 4)), GRAY, 1.5),
        CURVE.line(_rates(range(start + 1)), ORANGE, 4),
        word(40, 104, f"{start} epochs", anchor="start"),
    )


def _rates(epochs: range) -> list[Point]:
    """Return epoch and learning rate, as a share of the largest, of ConvNeXt's recipe."""
    last = CONVNEXT.epochs - 1
    return [(e, learning_rate(CONVNEXT, min(e, last), 1) / CONVNEXT.lr) for e in epochs]


def weight_decay() -> str:
    heights = [84 * 0.9**i for i in range(14)]
    return drawing(
        "A weight without a gradient: each step makes it smaller by the same share.",
        bars(18, 112, heights, 12, BLUE),
        line([(12, 112), (246, 112)], width=1),
        word(130, 132, "steps"),
        word(246, 30, "w ← w − lr · decay · w", anchor="end"),
    )


def weight_average() -> str:
    noise = random.Random(4)
    values = [1 - math.exp(-i / 25) + noise.gauss(0, 0.09) for i in range(80)]
    axes = Axes((0, 79), (-0.2, 1.2), (10, 10, 250, 120))
    return drawing(
        "Weights that jump from step to step, and their moving average, which is smooth.",
        axes.line(enumerate(values), GRAY, 1.2),
        axes.line(enumerate(averages(values, 0.9)), ORANGE, 3),
        word(240, 112, "one weight, its average", anchor="end"),
    )


def label_smoothing() -> str:
    hard = [float(i == 1) for i in range(CLASSES)]
    shapes = []
    for x, targets in ((14, hard), (150, smoothed())):
        shapes.append(bars(x, 104, [84 * target for target in targets], 14, BLUE))
        shapes.append(line([(x - 4, 104), (x + 90, 104)], width=1))
        shapes.append(word(x + 25, 16 + 84 * (1 - max(targets)), f"{max(targets):.4g}"))
    return drawing(
        f"Targets of {CLASSES} classes: 1 and 0 become {max(smoothed()):.2f} and "
        f"{min(smoothed()):.2f}.",
        *shapes,
        word(192, 100 - 84 * min(smoothed()) - 2, f"{min(smoothed()):.2f}", anchor="start"),
        word(56, 126, "labels"),
        word(192, 126, "smoothed"),
    )
