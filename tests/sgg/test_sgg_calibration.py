"""Calibrated scores: the curve by hand, the threshold, and graphs with them."""

import json

import numpy as np
import pytest

from groundgraph.data.types import Graph
from groundgraph.sgg.calibration import Calibration, fit_calibration, half_right, spoken_share

CURVE = Calibration((0.01, 0.1, 1.0), (0.0, 0.2, 0.8), 0.3)


def test_the_curve_is_straight_over_the_logarithm():
    given = np.array([0, 0.001, 0.01, 10**-1.5, 0.1, 10**-0.5, 1])
    np.testing.assert_allclose(CURVE(given), [0, 0, 0, 0.1, 0.2, 0.5, 0.8], atol=1e-6)


def test_isotonic_regression_by_hand():
    # 8 wrong, then one right and one wrong out of order, then 8 right: three blocks, (0 + .5) / 9, 1.5 / 3, 8.5 / 9.
    scores = np.concatenate([np.full(8, 0.01), [0.1, 0.1], np.full(8, 0.9)])
    right = np.array([False] * 8 + [True, False] + [True] * 8)
    curve = fit_calibration(scores, right)
    np.testing.assert_allclose(curve(np.array([0.01, 0.1, 0.9])), [0.5 / 9, 1.5 / 3, 8.5 / 9], atol=1e-6)
    shuffled = np.random.default_rng(0).permutation(len(scores))
    assert fit_calibration(scores[shuffled], right[shuffled])(0.9) == pytest.approx(curve(0.9))
    assert curve(1e-20) < 0.06 and curve(0) == 0  # a blank image's


def test_order_is_kept_everywhere():
    rng = np.random.default_rng(1)
    scores = rng.random(500) ** 4
    curve = fit_calibration(scores, rng.random(500) < scores)
    steps = curve(np.geomspace(1e-12, 1, 200))
    assert (np.diff(steps) >= 0).all() and steps[-1] <= 1
    assert abs(curve(scores).mean() - scores.mean()) < 0.05


def test_nothing_right_is_nothing_to_learn_from():
    assert fit_calibration(np.array([0.1, 0.2]), np.array([False, False])) is None
    assert fit_calibration(np.zeros(0), np.zeros(0, bool)) is None


def test_half_of_what_is_shown_is_right():
    right = np.array([True, False, True, False, False, False])
    scores = np.array([0.9, 0.8, 0.7, 0.6, 0.5, 0.4])
    assert half_right(scores, right) == pytest.approx(0.55)  # two of the first four
    # Never half: the best F1, that of the first three, 2 / (3 + 1).
    assert half_right(scores, np.array([False, False, True, False, False, False])) == pytest.approx(0.65)
    assert half_right(scores[:2], np.array([True, True])) == pytest.approx(0.4)


def test_graphs_and_records():
    pairs, table = np.array([[0, 1], [1, 0]]), np.array([[0.3, 0.5, 0.2], [0.9, 0.1, 0]], np.float32)
    graph = Graph(np.zeros((2, 4)), np.array([1, 2]), np.array([0.4, 0.5], np.float32), pairs, table)
    np.testing.assert_allclose(graph.relation_scores, [0.1, 0.02])
    told = CURVE.calibrated(graph)
    np.testing.assert_allclose(told.relation_scores, [0.2, 0.2 * np.log10(2)], rtol=1e-5)
    np.testing.assert_array_equal(CURVE.calibrated(told).relation_scores, told.relation_scores)
    assert Calibration.of_record(json.loads(json.dumps(CURVE.record()))) == CURVE
    assert Calibration.of_record(None) is None


def test_a_source_that_has_half_of_what_is_right():
    scores = np.concatenate([np.full(40, 0.1), np.full(40, 0.9)])
    said = np.array([False] * 40 + [True, False] * 20)
    curve = fit_calibration(scores, said, "captions", 0.5)
    np.testing.assert_allclose(curve(np.array([0.1, 0.9])), [0.5 / 41 / 0.5, 1], atol=1e-6)  # 20.5 / 41 / .5
    # All 40 of score .9 count as right, so that half of all 80 are.
    assert curve.min_score < curve(np.array([0.1]))[0]
    assert Calibration.of_record(json.loads(json.dumps(curve.record()))) == curve


def test_how_much_is_spoken_of():
    # Of the 100 surest half are spoken of, of the other 300 nothing.
    related = np.concatenate([np.tile([True, False], 50), np.zeros(300, bool)])
    share = spoken_share(np.linspace(1, 0, 400), related)
    assert share == pytest.approx(0.5 + np.sqrt(0.25 / 51), abs=0.02)
    assert spoken_share(np.zeros(0), np.zeros(0, bool)) == spoken_share(np.ones(3), np.zeros(3, bool)) == 1
    assert spoken_share(np.ones(3), np.ones(3, bool)) == 1
