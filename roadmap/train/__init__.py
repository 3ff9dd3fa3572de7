"""Training any step under any recipe."""
