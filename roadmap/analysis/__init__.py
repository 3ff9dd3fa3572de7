"""Compare and test runs of steps; audit the paper's counts."""
