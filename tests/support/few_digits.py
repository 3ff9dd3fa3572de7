"""The fixture ``few_digits`` for a process of its own: code to run before anything else."""

CODE = """
from sklearn import datasets
from sklearn.utils import Bunch

every = datasets.load_digits()
few = Bunch(images=every.images[:180], target=every.target[:180])
datasets.load_digits = lambda: few
"""
