"""The roadmap from ResNet to ConvNeXt: its steps, what they cost and what they score."""

from roadmap.steps import ROADMAPS, Roadmap, Step

__all__ = ["ROADMAPS", "Roadmap", "Step"]
