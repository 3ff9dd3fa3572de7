"""Feature maps as one PNG per layer: a sprite sheet of two colors on a transparent ground.

Opacity is the absolute value, scaled to the layer's largest; hue is the sign.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from roadmap.palette import BLUE, ORANGE

if TYPE_CHECKING:
    import numpy as np

POSITIVE, NEGATIVE = ORANGE, BLUE


@dataclass(frozen=True)
class Sheet:
    """A PNG as a data URI with ``columns`` × ``rows`` maps, of ``channels`` in this order."""

    uri: str
    channels: tuple[int, ...]
    columns: int
    rows: int

    def at(self, index: int) -> str:
        """Return the CSS background position of the map at ``index``."""
        row, column = divmod(index, self.columns)
        x = 100 * column / max(self.columns - 1, 1)
        y = 100 * row / max(self.rows - 1, 1)
        return f"{x:.4g}% {y:.4g}%"


def strongest(maps: np.ndarray, count: int) -> list[int]:
    """Return the ``count`` channels of (C, H, W) with the largest mean absolute value."""
    import numpy as np

    return np.argsort(-np.abs(maps).mean((1, 2)), kind="stable")[:count].tolist()


def sheet(maps: np.ndarray, channels: Sequence[int]) -> Sheet:
    """Draw ``channels`` of (C, H, W); opacity is full at the 99.5th percentile of the absolute
    values."""
    import numpy as np

    chosen = maps[list(channels)]
    count, height, width = chosen.shape
    columns = min(count, 16)
    rows = -(-count // columns)
    scale = float(np.percentile(np.abs(maps), 99.5))
    padded = np.zeros((rows * columns, height, width), np.float32)
    padded[:count] = chosen / (scale or 1.0)
    grid = padded.reshape(rows, columns, height, width).swapaxes(1, 2)
    return Sheet(_png(grid.reshape(rows * height, columns * width)), tuple(channels), columns, rows)


def _png(values: np.ndarray) -> str:
    import numpy as np
    from PIL import Image

    pixels = np.empty((*values.shape, 4), np.uint8)
    pixels[..., :3] = np.where(values[..., None] > 0, _rgb(POSITIVE), _rgb(NEGATIVE))
    pixels[..., 3] = np.rint(np.clip(np.abs(values), 0, 1) * 255)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG", compress_level=3)
    return uri(file.getvalue(), "png")


def uri(data: bytes, kind: str) -> str:
    return f"data:image/{kind};base64,{base64.b64encode(data).decode()}"


def _rgb(color: str) -> tuple[int, ...]:
    return tuple(bytes.fromhex(color[1:]))
