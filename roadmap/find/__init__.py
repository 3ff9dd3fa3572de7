"""Find the best network for a device: candidates, plan, measurements, answer."""
