"""Quality of pseudo labels on an image small enough to count by eye."""

import numpy as np
import pytest

from groundgraph.evaluation.pseudo_labels import PseudoLabelledImage, label_quality

BOXES = np.array([[0, 0, 10, 10], [20, 0, 30, 10], [40, 0, 50, 10], [60, 0, 70, 10]], np.float32)
NONE = np.zeros((0, 4))


def image(**more):
    scores = np.array(
        [
            [0.9, 0.1, 0.0, 0.0],  # right region 0: best
            [0.9, 0.8, 0.7, 0.0],  # right region 2: third
            [0.5, 0.5, 0.1, 0.0],  # right region 1: tied for the best
            [0.0, 0.0, 0.0, 1.0],  # truth not known
        ]
    )
    true = [BOXES[:1], BOXES[2:3], BOXES[1:2], NONE]
    triplets = np.array([[0, 1], [0, 2], [2, 0], [0, 3]])
    return PseudoLabelledImage(scores, BOXES, true, triplets, **more)


def test_recall_precision_and_the_best_region():
    found = label_quality([image()])
    assert found["entities"] == 3 and found["triplets"] == 3
    assert found["box recall@1"] == pytest.approx((1 + 0 + 0.5) / 3)
    assert found["box recall@3"] == pytest.approx(1)
    assert found["triplet precision"] == pytest.approx((0 + 0.5 + 0.5) / 3)
    assert found["best region"] == 1 and found["better teacher"] is None


def test_the_better_teacher():
    one = np.array([[0.5, 0.5, 0, 0], [0, 0, 0, 0], [0, 1, 0, 0], [0, 0, 0, 1]], float)
    two = np.array([[1, 0, 0, 0], [0.1, 0.1, 0.7, 0.1], [1, 0, 0, 0], [1, 0, 0, 0]], float)
    found = label_quality([image(object=one, interaction=two)])
    assert found["better teacher"] == pytest.approx(1)
    found = label_quality([image(object=one, interaction=np.zeros((4, 4)))])
    assert found["better teacher"] == pytest.approx((0.5 + 0 + 1) / 3)  # silence is not an answer


def test_an_image_without_regions_counts_as_wrong_and_nothing_as_nothing():
    blind = PseudoLabelledImage(np.zeros((1, 0)), np.zeros((0, 4)), [BOXES[:1]], np.zeros((0, 2)))
    assert label_quality([blind])["box recall@1"] == 0
    assert label_quality([])["box recall@1"] is None
