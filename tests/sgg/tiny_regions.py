"""Small random regions and sizes that the tests of both models share."""

from dataclasses import replace

import numpy as np

from groundgraph.data.types import Regions
from groundgraph.sgg.batch import Sizes, collate

SIZES = Sizes(features=6, detector_categories=4, categories=5, predicates=3)


def some_regions(count, seed):
    rng = np.random.default_rng(seed)
    corner = rng.uniform(0, 50, (count, 2))
    return Regions(
        boxes=np.concatenate([corner, corner + rng.uniform(5, 40, (count, 2))], 1).astype(np.float32),
        labels=rng.integers(-1, 4, count),
        scores=rng.random(count).astype(np.float32),
        features=rng.normal(size=(count, 6)).astype(np.float32),
        size=(100, 80),
    )


def batch_of(labels, scores):
    """A batch of one image whose regions the detector gave these labels and scores."""
    regions = some_regions(len(labels), 0)
    return collate([replace(regions, labels=np.array(labels), scores=np.array(scores, np.float32))])


def name_features(count, seed):
    """Random features of so many names."""
    return np.random.default_rng(seed).normal(size=(count, 7)).astype(np.float32)
