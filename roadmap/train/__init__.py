"""Training of any step with any recipe."""
