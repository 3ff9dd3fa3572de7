"""Sweeps over every step and seed of a roadmap: plan, estimate, run and display progress.

Each run is a folder in ``results/runs``. The state of a sweep is read from these folders, so the
same command resumes a sweep that was stopped or killed.
"""
