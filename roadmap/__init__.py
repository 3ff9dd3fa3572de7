"""The roadmap from ResNet to ConvNeXt: its steps, what they cost and what they score."""

import models  # noqa: F401 - before the steps, which it looks up where timm is imported already
from roadmap.steps import ROADMAPS, Roadmap, Step

__all__ = ["ROADMAPS", "Roadmap", "Step"]
