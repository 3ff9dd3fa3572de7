"""The report on a trained roadmap: for the terminal, for programs, and as an HTML page."""
