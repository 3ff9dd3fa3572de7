"""Drawings of networks as SVG, from the block specification."""
