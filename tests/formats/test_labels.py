"""Pseudo labels as annotations: the best region of every entity, settled as in a training step."""

import numpy as np
from formats_world import world

from groundgraph.grounding.annotations import annotations_of


def test_every_entity_on_its_best_region():
    (name, regions, pseudo), _ = world()
    found = annotations_of(name, "a.jpg", pseudo, regions)
    # Region 0: the hat, region 1: the dog, region 2: the man, whose other mention is less sure.
    assert found.boxes.tolist() == regions.boxes.tolist() and found.labels.tolist() == [2, 1, 3]
    assert np.allclose(found.scores, [0.5, 0.6, 0.75]) and found.size == (640, 480)
    # The other mention says dog of region 2; it lost that region, and its triplet went with it.
    assert sorted(found.relations.tolist()) == [[0, 2, 2], [2, 0, 1], [2, 1, 1]]


def test_regions_that_no_entity_takes_are_left_out():
    (name, regions, pseudo), _ = world()
    pseudo.regions[:2] = -1  # neither man nor hat
    found = annotations_of(name, "a.jpg", pseudo, regions)
    assert found.labels.tolist() == [1, 1] and found.relations.tolist() == []
    assert found.boxes.tolist() == regions.boxes[1:].tolist()


def test_all_candidates_for_the_rule():
    (name, regions, pseudo), (empty_name, no_regions, nothing) = world()
    found = annotations_of(name, "a.jpg", pseudo, regions, every=True)
    assert found.labels.tolist() == [2, 1, 3] and len(found.relations) == 3
    assert len(annotations_of(empty_name, "b.jpg", nothing, no_regions).boxes) == 0
