"""A config as files that other programs read."""
