"""Lecture mode: one slide per step of a roadmap."""
