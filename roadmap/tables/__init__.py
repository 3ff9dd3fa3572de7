"""The tables in ``results/``: published and measured figures, each with its source."""
