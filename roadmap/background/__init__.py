"""Long work beside the explorer: a queue, the processes that do it, and their temporary files."""
