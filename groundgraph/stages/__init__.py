"""The stages of a run, and the recipe that says what they do."""
