"""Where this project's operators are registered: ``torch.ops.roadmap``."""

from __future__ import annotations

from typing import Any

import torch

operators: Any = torch.ops.roadmap


def fragment(name: str) -> torch.library.Library:
    """Return an empty part of the library ``roadmap``.

    A part of the same name is removed first: Streamlit and notebooks reload a changed module.
    """
    parts = operators.__dict__.setdefault("parts", {})
    if name in parts:
        parts[name]._destroy()
    # Not ``custom_op``, whose checks take longer than a small convolution.
    parts[name] = torch.library.Library("roadmap", "FRAGMENT")
    return parts[name]
