"""Detectors: images in, regions with features out."""
