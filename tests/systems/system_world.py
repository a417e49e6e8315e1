"""A small world for systems: things in a row, of which captions name a few with the relations between them."""

import numpy as np
import torch

from groundgraph.data.types import Regions
from groundgraph.sgg.batch import Sizes
from groundgraph.systems import SYSTEMS
from groundgraph.systems.text_graphs import TextGraph, system_batch

CATEGORIES, PREDICATES, WIDTH = 6, 2, 24
EVEN = torch.ones(PREDICATES)  # weights
SIZES = Sizes(features=8, detector_categories=4, categories=CATEGORIES, predicates=PREDICATES, words=WIDTH)
PROTOTYPES = np.random.default_rng(99).normal(size=(CATEGORIES, 8))
NAMES = tuple(np.random.default_rng(7).normal(size=(n, WIDTH)).astype(np.float32) for n in (CATEGORIES, PREDICATES))
SMALL = {
    "vspnet": {"states": 32, "predicates": 6, "dropout": 0.0},
    "lsws": {"dropout": 0.0, "context_dropout": 0.0, "candidates": 12},
}


def scene(seed):
    """Four things and a region of nothing; 0 and 1 relate to 2 and 3: (0, first, 2 or 3), (1, second, 2 or 3).

    Returns:
        Its regions, the text graph of what is said of it, and its true labels and relations.
    """
    rng = np.random.default_rng(seed)
    category = np.array([*rng.permutation(CATEGORIES)[:4], -1])
    left = np.array([*rng.permutation(4) * 25.0, 10.0])
    boxes = np.stack([left, np.full(5, 10), left + 20, np.full(5, 40)], 1).astype(np.float32)
    boxes[4] = [0, 60, 90, 90]
    features = np.where(category[:, None] < 0, 0, PROTOTYPES[category]) + rng.normal(0, 0.2, (5, 8))
    regions = Regions(
        boxes, np.where(category < 4, category, -1), np.ones(5, np.float32), features.astype(np.float32), (100, 100)
    )
    relations = [
        (s, o, int(category[s])) for s in range(4) for o in range(4) if category[s] in (0, 1) and category[o] in (2, 3)
    ]
    order = rng.permutation(4)
    place = np.argsort(order)
    said = [(place[s], place[o], p) for s, o, p in relations]
    graph = TextGraph(category[order], np.array(said, np.int64).reshape(-1, 3))
    return regions, graph, category[:4] + 1, relations


def untrained(name, **config):
    """A system that has started, in eval mode, with edges that are not all alike."""
    torch.manual_seed(0)
    kind = SYSTEMS[name].model
    model = kind(SIZES, kind.Config(**SMALL[name] | config))
    features = np.concatenate([scene(i)[0].features for i in range(4)])
    model.start(*(torch.from_numpy(part) for part in (features, *NAMES)))
    return model.eval()


def step(seeds=range(3), **share):
    """A training step of some scenes."""
    scenes = [scene(seed) for seed in seeds]
    return system_batch([s[0] for s in scenes], [s[1] for s in scenes], CATEGORIES, EVEN, **share)
