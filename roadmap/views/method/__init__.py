"""The Method page: what was counted, measured and trained, and how."""
