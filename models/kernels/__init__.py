"""Layers that are faster than PyTorch's at the shapes of these networks."""
