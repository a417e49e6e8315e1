"""Two images with pseudo labels, small enough to follow by hand."""

import numpy as np

from groundgraph.data.types import PseudoLabels, Regions

VOCABULARIES = (("dog", "hat", "man"), ("has", "on"))


def regions(boxes, size):
    boxes = np.array(boxes, np.float32).reshape(-1, 4)
    return Regions(
        boxes, np.zeros(len(boxes), np.int64), np.ones(len(boxes), np.float32), np.zeros((len(boxes), 2)), size
    )


def world():
    """(id, regions, pseudo): a man (region 2) has a hat (0) and a dog (1); the second man says region 2 less surely; a
    thing outside the vocabulary; and an image of which nothing is known."""
    first = PseudoLabels(
        categories=np.array([2, 1, 0, -1, 0]),
        regions=np.array([[2, 1], [0, -1], [1, 0], [0, 1], [2, 0]]),
        scores=np.array([[3.0, 1], [2, 0], [2, 1], [9, 1], [1, 0]], np.float32),
        weights=np.array([[0.75, 0.1], [0.5, 0], [0.6, 0.2], [0.9, 0.1], [0.4, 0.3]], np.float32),
        triplets=np.array([[0, 1, 0], [0, 2, 0], [1, 0, 1], [4, 1, 1]]),
        count=3,
    )
    none = PseudoLabels(
        *(np.zeros(shape, kind) for shape, kind in (((0,), int), ((0, 2), int), ((0, 2), "f4"), ((0, 2), "f4"))),
        np.zeros((0, 3), np.int64),
        0,
    )
    found = regions([[10.25, 20, 100, 80.5], [0, 0, 639, 480], [300, 99.9, 301, 101]], (640, 480))
    return [("12", found, first), ("7", regions([], (100, 200)), none)]
