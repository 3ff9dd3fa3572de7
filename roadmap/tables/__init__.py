"""The tables in ``results/``: published and measured values, each with its source."""
