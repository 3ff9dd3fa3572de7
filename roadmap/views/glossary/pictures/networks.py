"""Drawings of whole networks: stem, stages, resolution and receptive field."""

from __future__ import annotations

from roadmap.palette import BLUE, GRAY, ORANGE
from roadmap.steps import ROADMAPS
from roadmap.views.glossary.shapes import (
    CHANNELS,
    arrow,
    bars,
    cells,
    drawing,
    grid,
    heat,
    layer,
    line,
    lines,
    rect,
    square,
    word,
)

FIRST, LAST = "baseline", "separate_downsampling"
#: 3 × 3 maps of three channels; global average pooling keeps their means.
MAPS = (
    ((0, 1, 2), (1, 8, 1), (0, 1, 4)),
    ((9, 9, 6), (9, 6, 3), (6, 3, 3)),
    ((0, 0, 1), (0, 0, 2), (0, 3, 3)),
)


def depths(step: str) -> tuple[int, ...]:
    return ROADMAPS["resnet50"].config(step).depths


def means() -> list[float]:
    """Return the mean of each of ``MAPS``."""
    return [sum(map(sum, values)) / 9 for values in MAPS]


def spread(layers: int) -> list[int]:
    """Return how often one output of ``layers`` kernels of size 3 uses each input of a row."""
    counts = [1]
    for _ in range(layers):
        padded = [0, 0, *counts, 0, 0]
        counts = [sum(padded[i : i + 3]) for i in range(len(counts) + 2)]
    return counts


def stem() -> str:
    return drawing(
        "The first layers turn a picture of 224 by 224 pixels into maps of 56 by 56 positions.",
        rect(12, 16, 96, 96, GRAY, fill=0.3),
        arrow((112, 64), (126, 64)),
        layer(130, 48, 48, 32, "stem", ORANGE),
        arrow((182, 64), (198, 64)),
        *(
            rect(206 + 6 * i, 58 - 6 * i, 24, 24, color, fill=0.45)
            for i, color in reversed([*enumerate(CHANNELS)])
        ),
        word(60, 132, "224 × 224"),
        word(222, 132, "56 × 56"),
    )


def patchify_stem() -> str:
    patches = {
        (row, column)
        for row, column in square(range(16), range(16))
        if (row // 4 + column // 4) % 2 == 0
    }
    coarse = {
        (row, column) for row, column in square(range(4), range(4)) if (row + column) % 2 == 0
    }
    return drawing(
        "16 by 16 pixels in patches of 4 by 4 that do not overlap: each patch gives one position.",
        cells(12, 12, 6.5, patches, ORANGE, 0.45),
        lines(12, 12, 4, 4, 26),
        arrow((128, 64), (164, 64)),
        grid(180, 38, 4, 4, 13, coarse, ORANGE),
        word(64, 134, "4×4 pixels per patch"),
    )


def stage() -> str:
    shapes, x = [], 8.0
    for i, depth in enumerate(depths(LAST)):
        side = 96 / 2**i
        for place in reversed(range(depth)):
            shapes.append(
                rect(x + 4 * place, 58 - side / 2, 8, side, ORANGE if i == 2 else BLUE, fill=0.6)
            )
        shapes.append(word(x + 2 * depth + 2, 120, str(i + 1), bold=i == 2))
        x += 4 * depth + 36
    return drawing(
        "Four stages of blocks; from one to the next, the maps are half as wide and high.",
        *shapes,
        word(238, 120, "stages"),
    )


def stage_ratio() -> str:
    shapes = []
    first, last = ROADMAPS["resnet50"].networks
    for top, step, name in ((4, FIRST, first), (76, LAST, last)):
        shapes.append(word(4, top + 12, name, anchor="start"))
        for i, depth in enumerate(depths(step)):
            bricks = [13.0] * depth
            shapes.append(bars(96, top + 13 + 16 * i, bricks, 12, ORANGE if i == 2 else BLUE, 2))
            shapes.append(word(104 + 14 * depth, top + 11 + 16 * i, str(depth), faint=True))
    counts = " and ".join(", ".join(map(str, depths(step))) for step in (FIRST, LAST))
    return drawing(f"Blocks per stage: {counts}.", *shapes)


def downsampling() -> str:
    return drawing(
        "Windows of 2 by 2 with stride 2: half the height and width, and twice the channels.",
        rect(24, 14, 80, 80, CHANNELS[1], fill=0.25),
        cells(12, 26, 20, square(range(2), range(2)), ORANGE),
        grid(12, 26, 4, 4, 20),
        arrow((118, 66), (154, 66)),
        *(rect(170 + 8 * i, 62 - 8 * i, 40, 40, CHANNELS[i], fill=0.25) for i in (3, 2, 1)),
        cells(170, 62, 20, {(0, 0)}, ORANGE),
        grid(170, 62, 2, 2, 20),
        word(58, 132, "2 channels"),
        word(202, 132, "4 channels"),
    )


def global_average_pooling() -> str:
    shapes = []
    for i, (values, mean) in enumerate(zip(MAPS, means(), strict=True)):
        y = 6 + 44 * i
        shapes.append(heat(40, y, values, 13, CHANNELS[i]))
        shapes.append(arrow((96, y + 20), (140, y + 20)))
        shapes.append(rect(156, y + 7, 26, 26, CHANNELS[i], fill=round(0.1 * mean, 2)))
        shapes.append(word(194, y + 25, f"mean {mean:.1f}", anchor="start"))
    return drawing("Three maps; the mean of each is one value.", *shapes)


def receptive_field() -> str:
    shapes, size = [], 22
    for row, (reach, name) in enumerate(((0, "output"), (1, "layer 1"), (2, "input"))):
        top = 8 + 48 * row
        middle = range(3 - reach, 4 + reach)
        shapes.append(grid(78, top, 1, 7, size, square([0], middle), ORANGE))
        shapes.append(word(6, top + 16, name, anchor="start"))
        if row:
            left, right = 78 + size * middle.start, 78 + size * middle.stop
            for start, end in ((left + size, left), (right - size, right)):
                shapes.append(line([(start, top - 26), (end, top)], ORANGE))
    return drawing(
        "Two layers with kernels of size 3: one output depends on 3 values, and those on 5 inputs.",
        *shapes,
    )


def effective_receptive_field() -> str:
    across = spread(6)
    values = [[float(a * b) for b in across] for a in across]
    side = 9 * len(across)
    return drawing(
        "Of the square of inputs that can matter, those in the middle matter most.",
        heat(20, 11, values, 9, ORANGE),
        rect(20, 11, side, side, GRAY, fill=0, dashed=True),
        line([(137, 26), (152, 26)], GRAY, dashed=True),
        word(158, 30, "can matter", anchor="start"),
        rect(140, 58, 12, 12, ORANGE, fill=0.9),
        word(158, 69, "does matter", anchor="start"),
    )
