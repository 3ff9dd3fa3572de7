"""The page Inside a step: shapes, costs, memory and receptive field."""
