"""All readers of a run's outputs in one place, for who uses a run from outside of its stages."""

from __future__ import annotations

from groundgraph.stages.concepts import word_meanings
from groundgraph.stages.crops import crops
from groundgraph.stages.detector_labels import detector_categories
from groundgraph.stages.evaluation import metrics
from groundgraph.stages.examples import examples, image_ids
from groundgraph.stages.grounding import grounding_images, pairs, scores
from groundgraph.stages.matches import category_nouns
from groundgraph.stages.parsed import entities, parsed, triplet_rows
from groundgraph.stages.pseudo_labels import pseudo_labels
from groundgraph.stages.regions import regions
from groundgraph.stages.reliability import reliability
from groundgraph.stages.sgg import graphs, shown_graphs
from groundgraph.stages.teachers import targets
from groundgraph.stages.text import text
from groundgraph.stages.vocabulary import vocabulary

__all__ = [
    "category_nouns",
    "crops",
    "detector_categories",
    "entities",
    "examples",
    "graphs",
    "grounding_images",
    "image_ids",
    "metrics",
    "pairs",
    "parsed",
    "pseudo_labels",
    "regions",
    "reliability",
    "scores",
    "shown_graphs",
    "targets",
    "text",
    "triplet_rows",
    "vocabulary",
    "word_meanings",
]
