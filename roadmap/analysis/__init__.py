"""Compare and test runs of steps; audit the paper's counts.

``verdict`` decides what a change is: a gain, a loss or inconclusive. ``ablation`` tests the changes
of a trained roadmap (with the statistics in ``significance``), and ``evidence`` says what is known
about one step. ``table`` has the results as rows, for reports, charts and pages.
"""
