"""The Effects page: what each change is worth, from a designed experiment."""
