"""Background work of the explorer: a queue, its worker processes and their temporary files."""
