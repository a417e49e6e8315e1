"""A trained model as a thing one can hold: packed into a folder, loaded from one, on new images."""
