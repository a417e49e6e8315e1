"""Boxes of one thing, by hand."""

import numpy as np
import pytest

from groundgraph.data.types import Graph
from groundgraph.sgg.merging import Merging, fit_merging, pairs_of_one

# A man twice (IoU 1/2), a boy on the man (IoU .8), a horse apart.
BOXES = np.array([[0, 0, 10, 30], [0, 10, 10, 40], [0, 0, 10, 24], [50, 0, 80, 30]], np.float32)


def graph(labels=(1, 1, 2, 3), confidences=(0.9, 0.5, 0.7)):
    pairs, table = np.array([[1, 3], [2, 3], [0, 3]]), np.array([[0.1, 0.9, 0], [0, 0.8, 0.2], [0, 0.1, 0.9]])
    scores = np.full(4, 0.5, np.float32)
    return Graph(BOXES, np.array(labels), scores, pairs, table, np.array(confidences, np.float32))


def test_the_box_in_the_surest_relation_stays():
    merged = Merging().merged(graph())
    # The second man (.9) lets the first (.5) fall; the boy overlaps only the fallen one enough, and stays.
    assert merged.labels.tolist() == [1, 2, 3] and merged.pairs.tolist() == [[0, 2], [1, 2]]
    np.testing.assert_array_equal(merged.boxes, BOXES[1:])
    np.testing.assert_allclose(merged.confidences, [0.9, 0.5])
    np.testing.assert_allclose(merged.predicate_scores, [[0.1, 0.9, 0], [0, 0.8, 0.2]])
    first = Merging().merged(graph(confidences=(0.5, 0.6, 0.9)))
    assert first.labels.tolist() == [1, 3] and first.pairs.tolist() == [[0, 1]]


def test_graphs_without_boxes_or_relations():
    empty = Graph(np.zeros((0, 4)), np.zeros(0, int), np.zeros(0), np.zeros((0, 2), int), np.zeros((0, 3)))
    assert len(Merging().merged(empty).boxes) == 0
    lone = Graph(BOXES[[0, 2]], np.array([1, 2]), np.array([0.3, 0.6]), np.zeros((0, 2), int), np.zeros((0, 3)))
    assert Merging().merged(lone).labels.tolist() == [2]  # the surer object


def test_pairs_to_learn_from_by_hand():
    rows = pairs_of_one(graph(), np.array([[0, 2, 10, 32], [50, 0, 80, 30]]))
    # All three on the man overlap; the horse overlaps none of them.
    np.testing.assert_allclose(rows, [[0.5, 1, 1], [0.8, 0, 1], [14 / 40, 0, 1]], atol=1e-6)
    assert pairs_of_one(graph(), np.zeros((0, 4))).shape == (0, 3)


def test_learning_finds_the_border():
    rng = np.random.default_rng(0)
    overlap, same = rng.random(2000), rng.random(2000) < 0.5
    one = overlap > np.where(same, 0.3, 0.6)
    learnt = fit_merging(overlap, same, one)
    assert -learnt.bias / learnt.overlap == pytest.approx(0.6, abs=0.03)
    assert -(learnt.bias + learnt.agreement) / learnt.overlap == pytest.approx(0.3, abs=0.03)
    assert fit_merging(overlap, same, np.zeros(2000, bool)) == Merging()
