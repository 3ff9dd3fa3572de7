"""Style sheets and scripts of the pages' components.

A component is registered where it is shown, with whichever server or test harness runs the page. In
Streamlit 1.65, one that a module registers on import is unknown to the others.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path


@cache
def text(file: Path) -> str:
    """Return the text of ``file``."""
    return file.read_text(encoding="utf-8")
