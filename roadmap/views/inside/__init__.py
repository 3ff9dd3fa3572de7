"""The page Inside a step: its block, network, costs, receptive field, code and config."""
