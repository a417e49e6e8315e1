"""Recall of base and of novel names, by hand."""

import numpy as np
import pytest

from groundgraph.data.graph_arrays import PredictionArrays, TruthArrays
from groundgraph.evaluation.novel import novel_recall

BOXES = np.array([[0, 0, 9, 9], [20, 0, 29, 9], [40, 0, 49, 9]], np.float32)


def test_base_novel_and_their_harmonic_mean():
    # Categories 1, 2 and 3, of which 3 is novel; predicates 1 and 2, of which 2 is novel.
    relations = np.array([[0, 1, 1], [1, 0, 1], [0, 1, 2], [2, 0, 1], [2, 1, 2]])
    truth = TruthArrays(BOXES, np.array([1, 2, 3]), relations, np.array([0, 3]), np.array([0, 5]))
    scores = np.array([[0, 0.9, 0.1], [0, 0.1, 0.8], [0, 0.7, 0.3]], np.float32)
    pairs = np.array([[0, 1], [2, 1], [1, 2]])
    found = PredictionArrays(BOXES, truth.labels, np.ones(3), pairs, scores, np.array([0, 3]), np.array([0, 3]))
    withheld = np.array([False, False, True]), np.array([False, True])
    figures = novel_recall(truth, found, *withheld, ks=(1, 20))
    assert {name: row["R@20"] for name, row in figures.items()} == pytest.approx(
        {
            "base": 1 / 2,
            "novel": 1 / 3,
            "novel categories": 1 / 2,
            "novel predicates": 1 / 2,
            "harmonic mean": 2 * (1 / 2 * 1 / 3) / (1 / 2 + 1 / 3),
        }
    )
    assert figures["novel"]["R@1"] == figures["harmonic mean"]["R@1"] == 0
    nothing = novel_recall(truth, found, np.zeros(3, bool), np.zeros(2, bool), ks=(20,))
    assert nothing["novel"]["R@20"] is nothing["harmonic mean"]["R@20"] is None
