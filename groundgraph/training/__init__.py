"""Training: the loops, checkpoints, and several processes."""
