"""Scene-graph generators trained from captions, without a single annotated box."""
