"""mAP50 by hand."""

import numpy as np
import pytest

from groundgraph.data.types import Graph, GroundTruth
from groundgraph.evaluation.detection import detection_map

CATEGORIES = ("man", "horse", "hat")
A, B, C = [0, 0, 10, 10], [20, 0, 30, 10], [40, 0, 50, 10]


def graph(boxes, labels, scores):
    pairs = np.zeros((0, 2), np.int64)
    boxes = np.array(boxes, np.float32).reshape(-1, 4)
    return Graph(boxes, np.array(labels, np.int64), np.array(scores, np.float32), pairs, np.zeros((0, 5), np.float32))


def truth(boxes, labels):
    return GroundTruth(np.array(boxes, np.float32).reshape(-1, 4), tuple(labels))


def test_average_precision_by_hand():
    # man: two true boxes; ranked right (.9), wrong (.8), right (.7): precision 1 up to recall .5, then 2/3.
    # horse: one true box, found. hat: never in the truth, left out, whatever is predicted.
    truths = [truth([A, C], ["man", "horse"]), truth([B], ["man"])]
    graphs = [graph([A, B, C, C], [1, 1, 2, 3], [0.9, 0.8, 0.5, 0.99]), graph([B], [1], [0.7])]
    mean, parts = detection_map(truths, graphs, CATEGORIES)
    man = (51 * 1 + 50 * 2 / 3) / 101  # COCO's 101 recall points: 0..0.5 and 0.51..1
    assert parts == pytest.approx({"man": man, "horse": 1.0}, abs=1e-5)
    assert mean == pytest.approx((man + 1) / 2, abs=1e-5)


def test_iou_of_half_counts_and_less_does_not():
    truths = [truth([[0, 0, 10, 10]], ["man"])]  # sides are x2 - x1: [0, 10] x [0, 5] is half of it
    assert detection_map(truths, [graph([[0, 0, 10, 5]], [1], [0.9])], CATEGORIES)[0] == pytest.approx(1)
    assert detection_map(truths, [graph([[0, 0, 10, 4.9]], [1], [0.9])], CATEGORIES)[0] == 0


def test_a_box_takes_its_best_free_one_and_a_better_score_chooses_first():
    # The true boxes P and Q overlap. The first prediction fits both, P better; the second only P, which is taken.
    p, q = [0, 0, 99, 99], [0, 10, 99, 109]
    truths = [truth([p, q], ["man", "man"])]
    both, only_p = [0, 2, 99, 101], [0, 0, 99, 60]
    assert detection_map(truths, [graph([both, only_p], [1, 1], [0.9, 0.8])], CATEGORIES)[0] < 0.6
    # In the other order each finds one.
    assert detection_map(truths, [graph([both, only_p], [1, 1], [0.8, 0.9])], CATEGORIES)[0] == pytest.approx(1)


def test_more_than_a_hundred_boxes_all_count():
    wrong = [[60, 60, 70 + i, 70 + i] for i in range(150)]
    scores = np.linspace(0.9, 0.2, 151)
    mean, _ = detection_map([truth([A], ["man"])], [graph([*wrong, A], [1] * 151, scores)], CATEGORIES)
    assert mean == pytest.approx(1 / 151, abs=1e-5)


def test_images_without_truth_or_boxes():
    assert detection_map([truth([], [])], [graph([A], [1], [0.5])], CATEGORIES) == (0.0, {})
    assert detection_map([truth([A], ["man"])], [graph([], [], [])], CATEGORIES) == (0.0, {"man": 0.0})
    assert detection_map([truth([A, B], ["zebra", "man"])], [graph([B], [1], [0.5])], CATEGORIES)[0] == pytest.approx(1)
    with pytest.raises(ValueError, match="1 images have ground truth but 0"):
        detection_map([truth([], [])], [], CATEGORIES)
