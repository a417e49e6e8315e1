"""What a run is made of: recipes, stages, resume."""
