"""The fixture ``few_digits`` for a process of its own: code to run before anything else."""

CODE = """
from roadmap.train.data import sources

few = sources.digits_table()[:180]
sources.digits_table = lambda: few
"""
