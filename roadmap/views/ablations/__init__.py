"""The Ablations page: analysis of trained runs, and training started from the page."""
