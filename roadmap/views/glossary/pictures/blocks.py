"""Drawings of blocks: shortcuts, widths and what happens on the residual branch."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from models.spec import Conv, network_spec
from roadmap.palette import BLUE, ORANGE
from roadmap.steps import ROADMAPS
from roadmap.views.glossary.shapes import (
    CHANNELS,
    INK,
    arrow,
    bars,
    drawing,
    layer,
    line,
    over,
    plus,
    rect,
    word,
)

#: Drop probability of the last block, as in ConvNeXt-T.
DROPPED = 0.1


def widths(step: str) -> list[int]:
    """Return the channels before, between and after the convolutions of a step's second block."""
    block = network_spec(ROADMAPS["resnet50"].config(step)).stages[0].blocks[1]
    convs = [each for each in block.branch if isinstance(each, Conv)]
    return [convs[0].in_channels, *(conv.out_channels for conv in convs)]


def drop_rates(blocks: int, last: float = DROPPED) -> list[float]:
    """Return each block's drop probability, from 0 to ``last``."""
    return [last * i / (blocks - 1) for i in range(blocks)]


def block() -> str:
    shapes = [
        rect(30, 18, 192, 92, BLUE, fill=0.06, dashed=True, round_=6),
        *_residual("", INK),
        word(126, 130, "repeated in each stage"),
    ]
    return drawing("Three layers in a row, and a shortcut around them that ends at a sum.", *shapes)


def shortcut() -> str:
    return drawing(
        "A line around the layers adds the block's input x to their output f(x).",
        *_residual("f(x)", ORANGE),
        word(20, 70, "x"),
        word(232, 70, "x + f(x)"),
    )


def _residual(text: str, color: str) -> list[str]:
    """Draw layers from left to right with a shortcut in ``color`` over them."""
    y = 82
    boxes = [layer(58, y - 16, 116, 32, text)]
    if not text:
        boxes = [layer(58 + 42 * i, y - 16, 34, 32) for i in range(3)]
        boxes += [line([(x, y), (x + 8, y)]) for x in (92, 134)]
    return [
        line([(8, y), (58, y)]),
        *boxes,
        line([(176 if not text else 174, y), (191, y)]),
        over((40, y), (200, y - 9), 36, color),
        plus(200, y),
        arrow((209, y), (252, y)),
    ]


def bottleneck() -> str:
    return _profile("baseline", BLUE, ("1×1", "3×3", "1×1"), "narrow in the middle")


def inverted_bottleneck() -> str:
    return _profile(
        "inverted_bottleneck", ORANGE, ("1×1", "depthwise", "1×1"), "wide in the middle"
    )


def _profile(step: str, color: str, names: Sequence[str], said: str) -> str:
    """Draw the channels of a block from left to right as the height of a band."""
    channels = widths(step)
    xs = (26, 84, 172, 234)
    halves = [44 * count / max(channels) for count in channels]
    top = [(x, 66 - half) for x, half in zip(xs, halves, strict=True)]
    low = [(x, 66 + half) for x, half in zip(xs, halves, strict=True)]
    points = " ".join(f"{x:.0f},{y:.0f}" for x, y in [*top, *reversed(low)])
    shape = (
        f'<polygon points="{points}" fill="{color}" fill-opacity="0.35" stroke="{color}" '
        'stroke-width="1.5"/>'
    )
    names_at = [(left + right) / 2 for left, right in pairwise(xs)]
    shapes = [word(x, 70, name) for x, name in zip(names_at, names, strict=True)]
    shapes += [
        line([up, down], color) + word(up[0], 134, str(count))
        for up, down, count in zip(top, low, channels, strict=True)
    ]
    listed = ", ".join(map(str, channels))
    return drawing(f"A block with {listed} channels from layer to layer: {said}.", shape, *shapes)


def expansion_ratio() -> str:
    channels = widths("separate_downsampling")
    ratio = channels[2] // channels[0]
    return drawing(
        f"A block of {channels[0]} channels with {channels[2]} in the middle: {ratio} times more.",
        rect(40, 50, 26, 24, BLUE, fill=0.5),
        arrow((80, 62), (160, 62)),
        word(120, 52, f"× {ratio}", bold=True),
        *(rect(180, 14 + 24 * i, 26, 24, BLUE, fill=0.5) for i in range(ratio)),
        word(53, 132, f"{channels[0]} channels"),
        word(193, 132, f"{channels[2]} channels"),
    )


def layer_scale() -> str:
    factors = (8, 20, 13, 26)
    gammas = [
        bars(110 + 22 * i, 96, [height], 14, color)
        for i, (height, color) in enumerate(zip(factors, CHANNELS, strict=True))
    ]
    return drawing(
        "The output of the layers is multiplied by one factor per channel before the sum.",
        line([(8, 82), (28, 82)]),
        layer(28, 66, 56, 32, "f(x)"),
        line([(84, 82), (102, 82)]),
        rect(102, 62, 94, 40, fill=0.05),
        *gammas,
        line([(196, 82), (213, 82)]),
        over((16, 82), (222, 73), 30),
        plus(222, 82),
        arrow((231, 82), (256, 82)),
        word(149, 122, "one factor per channel"),
    )


def stochastic_depth() -> str:
    rates = drop_rates(6)
    shapes = [line([(4, 52), (256, 52)], opacity=0.5)]
    for i, rate in enumerate(rates):
        x, gone = 16 + 40 * i, i in (3, 5)
        if gone:
            shapes.append(over((x - 4, 52), (x + 32, 52), 18, ORANGE))
        shapes.append(_block_at(x, gone))
        shapes.append(bars(x + 6, 116, [2 + 320 * rate], 16, ORANGE))
    return drawing(
        "Six blocks, two of which are skipped; the drop probability grows from the first to the "
        "last.",
        *shapes,
        word(130, 134, "drop probability"),
    )


def _block_at(x: float, gone: bool) -> str:
    if gone:
        return rect(x, 36, 28, 32, INK, fill=0, dashed=True, round_=4)
    return rect(x, 36, 28, 32, BLUE, fill=0.5, round_=4)
