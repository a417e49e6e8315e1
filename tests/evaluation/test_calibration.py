"""Calibration error, right predictions and figures at a threshold, by hand."""

import numpy as np
import pytest

from groundgraph.data.graph_arrays import prediction_arrays, truth_arrays
from groundgraph.data.types import Graph, GroundTruth
from groundgraph.errors import InputError
from groundgraph.evaluation.calibration import (
    calibration_figures,
    expected_calibration_error,
    reliability_bins,
    right_predictions,
    threshold_figures,
)

SCORES, RIGHT = np.array([0.1, 0.3, 0.6, 0.9, 1.0]), np.array([False, True, False, True, True])


def test_error_by_hand():
    # Two bins: .1 and .3, half right, mean .2; .6, .9 and 1, two thirds right, mean 2.5 / 3.
    assert expected_calibration_error(SCORES, RIGHT, 2) == pytest.approx((2 * 0.3 + 3 * (2.5 - 2) / 3) / 5)
    assert expected_calibration_error(np.array([0.25] * 4), np.array([True, False, False, False])) == 0
    assert expected_calibration_error(np.zeros(0), np.zeros(0, bool)) is None


def test_bins_by_hand():
    counts, scores, right = reliability_bins(SCORES, RIGHT, 4)
    assert counts.tolist() == [1, 1, 1, 2]
    np.testing.assert_allclose(scores, [0.1, 0.3, 0.6, 0.95])
    np.testing.assert_allclose(right, [0, 1, 0, 1])
    assert np.isnan(reliability_bins(SCORES, RIGHT, 10).scores[4])


def test_figures_at_a_threshold_by_hand():
    figures = threshold_figures(SCORES, RIGHT, 0.5, relations=4, images=2)
    assert figures == {"precision": 2 / 3, "recall": 0.5, "F1": pytest.approx(4 / 7), "an image": 1.5}
    nothing = threshold_figures(SCORES, RIGHT, 1.1, relations=0, images=0)
    assert set(nothing.values()) == {None}


NOTHING = Graph(np.zeros((0, 4)), np.zeros(0), np.zeros(0), np.zeros((0, 2)), np.zeros((0, 3)))


@pytest.fixture
def world():
    """A man rides a horse, and holds a kite; the second image has nothing."""
    boxes = np.array([[0, 0, 10, 20], [0, 10, 30, 40], [50, 0, 60, 10]], np.float32)
    truth = GroundTruth(boxes, ("man", "horse", "kite"), ((0, "ride", 1), (0, "hold", 2)))
    nothing = GroundTruth(np.zeros((0, 4), np.float32), (), ())
    # The same man twice: the second "ride" is a thing said twice; the last pair has the wrong predicate.
    graph = Graph(
        np.concatenate([boxes, boxes[:1] + 1]),
        np.array([1, 2, 3, 1]),
        np.ones(4, np.float32),
        np.array([[0, 1], [3, 1], [0, 2]]),
        np.array([[0, 0.9, 0.1], [0, 0.8, 0.2], [0, 0.6, 0.4]], np.float32),
    )
    vase = Graph(boxes[:2], np.array([1, 2]), np.ones(2, np.float32), np.array([[1, 0]]), np.array([[0, 0.5, 0.2]]))
    truths = truth_arrays([nothing, truth], ("man", "horse", "kite"), ("ride", "hold"))
    return truths, prediction_arrays([vase, graph])


def test_a_relation_is_right_once(world):
    assert right_predictions(*world).tolist() == [False, True, False, False]
    with pytest.raises(InputError, match="2 images have ground truth but 1"):
        right_predictions(world[0], prediction_arrays([NOTHING]))


def test_all_figures(world):
    raw = np.array([0.5, 0.9, 0.8, 0.6])
    figures = calibration_figures(*world, np.array([0.0, 1.0, 0.1, 0.1]), raw, min_score=0.1)
    assert figures["ECE"] == pytest.approx(0.2 / 4) and figures["ECE, all"] == figures["ECE"]
    assert figures["ECE uncalibrated"] == pytest.approx((0.5 + 0.1 + 0.8 + 0.6) / 4)
    assert (figures["precision"], figures["recall"], figures["an image"]) == (1 / 3, 0.5, 1.5)
    assert figures["bins"] == [[1, 0, 0], [2, pytest.approx(0.1), 0], [1, 1, 1]]
