"""MiniGenome: a procedural Visual Genome in miniature, whose point is which of two alike a caption means."""

from groundgraph.data.minigenome.drawing import CATEGORIES, SIDE
from groundgraph.data.minigenome.scenes import PREDICATES, UNSEEN, Scene, SceneObject, sample

__all__ = [
    "CATEGORIES",
    "EXPERT_SEED",
    "HELDOUT_SEED",
    "PREDICATES",
    "SIDE",
    "UNSEEN",
    "Scene",
    "SceneObject",
    "sample",
]

EXPERT_SEED = 1  # the part of the world the bundled experts are trained on
HELDOUT_SEED = 2  # the part their cards' figures are measured on; the dataset's splits are others still
