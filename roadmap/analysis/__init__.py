"""What numbers say: runs of steps compared and tested, and the paper's counts audited."""
