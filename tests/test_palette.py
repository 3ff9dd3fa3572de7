"""The palette, computed instead of trusted: contrast in both themes, color blindness."""

from __future__ import annotations

import itertools
import re
from pathlib import Path

import numpy as np
import pytest

from roadmap import palette
from roadmap.charts.inside import KINDS, TEXTS
from roadmap.steps import ROADMAPS

COLORS = [palette.GRAY, palette.BLUE, palette.CYAN, palette.PLUM, palette.ORANGE, palette.BROWN]
COLORS += [palette.VIOLET]
CONFIG = Path(__file__).parents[1] / ".streamlit" / "config.toml"

# Linear RGB as seen with a missing cone (Machado, Oliveira and Fernandes 2009, severity 1).
SIGHT = {
    "normal": np.eye(3),
    "protanopia": np.array(
        [
            [0.152286, 1.052583, -0.204868],
            [0.114503, 0.786281, 0.099216],
            [-0.003882, -0.048116, 1.051998],
        ]
    ),
    "deuteranopia": np.array(
        [
            [0.367322, 0.860646, -0.227968],
            [0.280085, 0.672501, 0.047413],
            [-0.011820, 0.042940, 0.968881],
        ]
    ),
    "tritanopia": np.array(
        [
            [1.255528, -0.076749, -0.178779],
            [-0.078411, 0.930809, 0.147602],
            [0.004733, 0.691367, 0.303900],
        ]
    ),
}
# Linear RGB to Oklab (Ottosson 2020), in which distances are as seen.
TO_CONES = np.array(
    [
        [0.4122214708, 0.5363325363, 0.0514459929],
        [0.2119034982, 0.6806995451, 0.1073969566],
        [0.0883024619, 0.2817188376, 0.6299787005],
    ]
)
TO_OKLAB = np.array(
    [
        [0.2104542553, 0.7936177850, -0.0040720468],
        [1.9779984951, -2.4285922050, 0.4505937099],
        [0.0259040371, 0.7827717662, -0.8086757660],
    ]
)
#: Four times what is just noticeable, about 0.02.
APART = 0.08


def linear(color: str) -> np.ndarray:
    rgb = np.array([int(color[i : i + 2], 16) for i in (1, 3, 5)]) / 255
    return np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)


def contrast(one: str, other: str) -> float:
    """The ratio of WCAG 2, from 1 to 21."""
    dark, light = sorted(linear(color) @ [0.2126, 0.7152, 0.0722] for color in (one, other))
    return (light + 0.05) / (dark + 0.05)


def seen(color: str, sight: str) -> np.ndarray:
    return TO_OKLAB @ np.cbrt(TO_CONES @ np.clip(SIGHT[sight] @ linear(color), 0, 1))


@pytest.mark.parametrize("background", [palette.LIGHT_BACKGROUND, palette.DARK_BACKGROUND])
def test_colors_stand_out_from_both_backgrounds(background):
    assert min(contrast(color, background) for color in COLORS) >= 3


def test_text_on_each_color_of_the_cost_map_is_legible():
    colors = {color for _, color in KINDS.values()}
    assert min(contrast(color, TEXTS[color]) for color in colors) >= 4.5


@pytest.mark.parametrize("sight", SIGHT)
def test_colors_are_told_apart(sight):
    distances = {
        pair: np.linalg.norm(seen(pair[0], sight) - seen(pair[1], sight))
        for pair in itertools.combinations(COLORS, 2)
    }
    assert min(distances.values()) >= APART, min(distances, key=distances.get)


def test_simulation_finds_a_bad_pair():
    red, green = "#c8443c", "#5b7f2b"
    apart = {name: np.linalg.norm(seen(red, name) - seen(green, name)) for name in SIGHT}
    assert apart["deuteranopia"] < APART < apart["normal"]


def test_backgrounds_and_text_are_those_of_the_theme():
    def theme(name: str) -> dict[str, str]:
        section = CONFIG.read_text().split(f"[theme.{name}]")[1].split("[")[0]
        return dict(re.findall(r'(\w+) = "(#\w+)"', section))

    light, dark = theme("light"), theme("dark")
    assert light["backgroundColor"] == palette.LIGHT_BACKGROUND
    assert light["textColor"] == palette.LIGHT_TEXT
    assert dark["backgroundColor"] == palette.DARK_BACKGROUND
    for colors in (light, dark):
        for background in (colors["backgroundColor"], colors["secondaryBackgroundColor"]):
            assert contrast(colors["textColor"], background) >= 7
            assert contrast(colors["linkColor"], background) >= 4.5


@pytest.mark.parametrize("roadmap", ROADMAPS)
def test_every_group_has_a_color_and_neighbors_differ(roadmap):
    groups = [group for group, _ in itertools.groupby(s.group for s in ROADMAPS[roadmap].steps)]
    colors = [palette.GROUP_COLORS[group] for group in groups]
    assert all(one != other for one, other in itertools.pairwise(colors))
