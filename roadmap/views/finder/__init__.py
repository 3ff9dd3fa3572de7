"""The page Finder: the best network for a device."""
