"""What runs a list of stages, and knows nothing of scene graphs."""
