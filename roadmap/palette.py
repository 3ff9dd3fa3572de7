"""The colors of charts and diagrams.

One color a section of the paper, each with a contrast of at least 3 to the light and to the dark
background of the app, and told apart with normal vision, protanopia, deuteranopia and tritanopia
(``tests/test_palette.py`` computes both). Color is never the only sign: groups are headed by
their names, steps not adopted are hatched, changed layers carry a plus, a minus or a delta.
"""

from __future__ import annotations

#: Of ``.streamlit/config.toml``.
LIGHT_BACKGROUND, LIGHT_TEXT = "#ffffff", "#1f2328"
DARK_BACKGROUND = "#15171b"

GRAY, BLUE, CYAN, PLUM, ORANGE, BROWN, VIOLET = (
    "#7c8088",
    "#436cc8",
    "#019bc2",
    "#805789",
    "#d6673f",
    "#9f5021",
    "#9682fa",
)

#: Bars by group, in the order of the roadmap.
GROUP_COLORS: dict[str, str] = {
    "Baseline": GRAY,
    "Macro design": BLUE,
    "ResNeXt-ify": CYAN,
    "Inverted bottleneck": PLUM,
    "Large kernel sizes": ORANGE,
    "Micro design": BROWN,
    "Beyond the paper": VIOLET,
    "Schedule": BLUE,
    "Augmentation": CYAN,
    "Regularization": PLUM,
    "Evaluation and averaging": ORANGE,
}
