"""The colors of charts and diagrams.

One color per section of the paper. Each has a contrast of at least 3 to the app's light and dark
backgrounds, and they can be told apart with normal vision, protanopia, deuteranopia and tritanopia
(``tests/test_palette.py`` computes both). Color is never the only cue: groups have headings, steps
that were not adopted are hatched, changed layers have a plus, a minus or a delta.
"""

from __future__ import annotations

#: Backgrounds, as in ``.streamlit/config.toml``.
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

#: Bar colors by group, in roadmap order.
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
