"""The Ablations page: analysis of trained runs."""
