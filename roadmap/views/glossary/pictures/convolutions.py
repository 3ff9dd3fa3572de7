"""Drawings of convolutions: windows, channels and groups."""

from __future__ import annotations

from collections.abc import Sequence

from roadmap.palette import BLUE, ORANGE
from roadmap.views.glossary.shapes import (
    CHANNELS,
    INK,
    arrow,
    cells,
    drawing,
    grid,
    heat,
    line,
    rect,
    square,
    word,
)

#: Responds to a change from left to right (Sobel).
EDGE = ((-1, 0, 1), (-2, 0, 2), (-1, 0, 1))
#: A picture with a square.
IMAGE = tuple(
    tuple(float(1 <= row <= 4 and column >= 2) for column in range(6)) for row in range(6)
)
POOLED = ((1, 4, 2, 0), (3, 2, 6, 1), (0, 1, 5, 3), (2, 8, 1, 4))
#: Input and output channels of the drawings of groups.
COUNT = 4


def convolve(
    image: Sequence[Sequence[float]], kernel: Sequence[Sequence[float]]
) -> list[list[float]]:
    """Return the sums of window × kernel at every position, without padding."""
    size = len(kernel)
    places = range(len(image) - size + 1)
    return [
        [
            sum(kernel[i][j] * image[y + i][x + j] for i in range(size) for j in range(size))
            for x in places
        ]
        for y in places
    ]


def wires(groups: int) -> list[tuple[int, int]]:
    """Return the pairs (input, output) of channels that a convolution with ``groups`` connects."""
    each = COUNT // groups
    return [(i, o) for i in range(COUNT) for o in range(COUNT) if i // each == o // each]


def starts(stride: int, cells: int = 9, size: int = 3) -> list[int]:
    """Return where the windows of a row of ``cells`` begin."""
    return list(range(0, cells - size + 1, stride))


def convolution() -> str:
    corners = [(10 + 18, 20 + 18), (10 + 72, 20 + 72)]
    ends = [(184, 38), (202, 74)]
    rays = "".join(
        line([(x, y), (to_x, to_y)], ORANGE, opacity=0.6)
        for (x, y), (to_x, to_y) in zip(
            [(corners[1][0], corners[0][1]), corners[1]],
            [(ends[0][0], 56), (ends[0][0], 74)],
            strict=True,
        )
    )
    return drawing(
        "A window of 3 by 3 inputs gives one output; 5 by 5 inputs have 9 such windows.",
        grid(10, 20, 5, 5, 18),
        cells(10, 20, 18, square(range(1, 4), range(1, 4)), ORANGE),
        rays,
        grid(166, 38, 3, 3, 18, {(1, 1)}, ORANGE),
        word(55, 130, "input"),
        word(193, 130, "output"),
    )


def kernel() -> str:
    numbers = "".join(
        word(25 + 30 * column, 40 + 30 * row, str(value).replace("-", "−"))
        for row, values in enumerate(EDGE)
        for column, value in enumerate(values)
    )
    return drawing(
        "A kernel of size 3 has 9 weights for each input channel; one of size 7 has 49.",
        grid(10, 20, 3, 3, 30, square(range(3), range(3)), ORANGE),
        numbers,
        grid(152, 16, 7, 7, 14, square(range(7), range(7)), ORANGE),
        word(55, 132, "3×3"),
        word(201, 132, "7×7"),
    )


def stride() -> str:
    rows = []
    for top, step in ((8, 1), (76, 2)):
        found = starts(step)
        rows.append(grid(78, top, 1, 9, 18))
        for start in found:
            left, low = 78 + 18 * start, top + 36
            rays = [(left + 2, top + 18), (left + 27, low), (left + 52, top + 18)]
            rows.append(line(rays, opacity=0.4))
            rows.append(cells(left + 21, low, 12, {(0, 0)}, ORANGE, 0.8))
        rows.append(word(6, top + 22, f"stride {step}", anchor="start"))
    return drawing(
        f"Windows of 3 over 9 positions: {len(starts(1))} with stride 1, {len(starts(2))} with "
        "stride 2.",
        *rows,
    )


def padding() -> str:
    border = square(range(6), range(6)) - square(range(1, 5), range(1, 5))
    zeros = "".join(
        word(19 + 18 * column, 29 + 18 * row, "0", faint=True) for row, column in sorted(border)
    )
    return drawing(
        "Zeros around 4 by 4 inputs: windows of 3 by 3 then give 4 by 4 outputs.",
        cells(28, 34, 18, square(range(4), range(4)), BLUE, 0.4),
        grid(10, 16, 6, 6, 18),
        zeros,
        rect(10, 16, 54, 54, ORANGE, fill=0.2),
        arrow((132, 70), (164, 70)),
        grid(174, 34, 4, 4, 18, {(0, 0)}, ORANGE),
    )


def channel() -> str:
    sheets = "".join(
        rect(20 + 20 * i, 44 - 10 * i, 74, 74, color, fill=0.3)
        for i, color in reversed(list(enumerate(CHANNELS)))
    )
    return drawing(
        "A layer's output as four sheets of one size, its channels; one of them is taken out.",
        sheets,
        arrow((162, 64), (180, 64)),
        grid(188, 32, 4, 4, 16, square(range(4), range(4)), BLUE),
        word(60, 134, "4 channels"),
        word(220, 112, "one of them"),
    )


def feature_map() -> str:
    return drawing(
        "A picture with a square, and the map of one channel, which is high where the "
        "square's left edge is.",
        heat(10, 22, IMAGE, 15, INK),
        arrow((110, 67), (146, 67), ORANGE),
        word(128, 56, "3×3"),
        heat(160, 27, convolve(IMAGE, EDGE), 20, ORANGE),
        word(55, 130, "picture"),
        word(200, 130, "feature map"),
    )


def grouped_convolution() -> str:
    return _wired(2, "Two groups: each output channel reads the two input channels of its group.")


def depthwise_convolution() -> str:
    return _wired(
        COUNT, "Four channels, each with its own kernel: no output reads another channel."
    )


def _wired(groups: int, described: str) -> str:
    """Draw input and output channels with the kernels that connect them."""
    shapes = []
    for source, target in wires(groups):
        y, to_y = 6 + 33 * source, 6 + 33 * target
        shapes.append(line([(60, y + 14), (200, to_y + 14)], CHANNELS[source], width=2))
        if groups == COUNT:
            shapes.append(rect(119, y + 3, 22, 22, CHANNELS[source], fill=0.5))
            shapes.append(_third(119, y + 3, 22))
    for i, color in enumerate(CHANNELS):
        group = CHANNELS[i] if groups == COUNT else INK
        shapes.append(rect(32, 6 + 33 * i, 28, 28, color, fill=0.45))
        shapes.append(rect(200, 6 + 33 * i, 28, 28, group, fill=0.45 if groups == COUNT else 0.15))
    return drawing(described, *shapes)


def _third(x: float, y: float, side: float) -> str:
    """Return the inner lines of a grid of 3 × 3 cells."""
    cut = side / 3
    across = [line([(x, y + i * cut), (x + side, y + i * cut)], width=0.8) for i in (1, 2)]
    down = [line([(x + i * cut, y), (x + i * cut, y + side)], width=0.8) for i in (1, 2)]
    return "".join(across + down)


def pointwise_convolution() -> str:
    shapes = []
    for i, color in reversed(list(enumerate(CHANNELS))):
        x, y = 16 + 18 * i, 56 - 15 * i
        shapes.append(rect(x, y, 60, 60, color, fill=0.16))
        shapes.append(rect(x + 36, y + 20, 14, 14, color, fill=0.85))
        shapes.append(line([(x + 50, y + 27), (206, 70)], color, opacity=0.8))
    return drawing(
        "The values of four channels at one position are weighted and summed to one output value.",
        *shapes,
        rect(206, 62, 16, 16, INK, fill=0.5),
        word(214, 98, "Σ w · x"),
        word(100, 134, "one position, all channels"),
    )


def max_pooling() -> str:
    shapes = []
    for i, color in enumerate(CHANNELS):
        row, column = divmod(i, 2)
        shapes.append(
            cells(
                10,
                14,
                28,
                square(range(2 * row, 2 * row + 2), range(2 * column, 2 * column + 2)),
                color,
                0.35,
            )
        )
        shapes.append(cells(186, 42, 28, {(row, column)}, color, 0.35))
        shapes.append(word(200 + 28 * column, 61 + 28 * row, str(pooled()[row][column]), bold=True))
    numbers = "".join(
        word(24 + 28 * column, 33 + 28 * row, str(value))
        for row, values in enumerate(POOLED)
        for column, value in enumerate(values)
    )
    return drawing(
        "Four windows of 2 by 2 numbers; the largest number of each is kept.",
        *shapes,
        grid(10, 14, 4, 4, 28),
        numbers,
        arrow((132, 70), (172, 70)),
        word(152, 60, "max"),
        grid(186, 42, 2, 2, 28),
    )


def pooled() -> list[list[int]]:
    """Return the largest number of each 2 × 2 window of ``POOLED``."""
    return [
        [max(POOLED[y + i][x + j] for i in (0, 1) for j in (0, 1)) for x in (0, 2)] for y in (0, 2)
    ]
