"""The page Roadmap: every step, what it changes, brings and costs."""
