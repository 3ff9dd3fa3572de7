"""The page Method: what was counted, measured and trained, and how."""
