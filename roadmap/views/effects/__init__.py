"""The page Effects: what each change is worth in a designed experiment."""
