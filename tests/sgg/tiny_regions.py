"""Small random regions and sizes that the tests of both models share."""

import numpy as np

from groundgraph.data.types import Regions
from groundgraph.sgg.batch import Sizes

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
