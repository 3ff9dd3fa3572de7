"""The Roadmap page: every step, what it changes, gains and costs."""
