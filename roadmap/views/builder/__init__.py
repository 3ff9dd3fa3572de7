"""The page Builder: two networks side by side, counted, measured, downloaded."""
