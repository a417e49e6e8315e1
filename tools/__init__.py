"""Scripts that train the bundled experts and build data files; not installed with the package."""
