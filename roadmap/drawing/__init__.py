"""Pictures of networks as SVG, drawn from the block specification."""
