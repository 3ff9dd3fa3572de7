"""Networks as files that other programs read, each checked against the network first."""
