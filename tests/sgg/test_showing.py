"""What people are shown: each thing once, then probabilities, then the threshold."""

import json
from dataclasses import replace

import numpy as np
import pytest

from groundgraph.data.types import Graph
from groundgraph.sgg.calibration import Calibration
from groundgraph.sgg.merging import Merging
from groundgraph.sgg.showing import Showing

CURVE = Calibration((0.01, 0.1, 1.0), (0.0, 0.2, 0.8), 0.15)


@pytest.fixture
def graph():
    """A man and a boy in one place, a horse and a kite; man-horse .1, boy-horse .05, man-kite .02."""
    boxes = np.array([[0, 0, 10, 30], [0, 0, 10, 27], [50, 0, 80, 30], [0, 90, 9, 99]], np.float32)
    table = np.array([[0, 0.1], [0, 0.05], [0, 0.02]], np.float32)
    return Graph(boxes, np.array([1, 2, 3, 4]), np.ones(4, np.float32), np.array([[0, 2], [1, 2], [0, 3]]), table)


def test_each_thing_once_with_probabilities_from_the_threshold_on(graph):
    showing = Showing(Merging(), CURVE)
    whole = showing.whole(graph)
    assert whole.labels.tolist() == [1, 3, 4] and whole.pairs.tolist() == [[0, 1], [0, 2]]
    np.testing.assert_allclose(whole.relation_scores, [0.2, 0.2 * np.log10(2)], rtol=1e-5)
    shown = showing(graph)
    assert shown.labels.tolist() == [1, 3] and shown.pairs.tolist() == [[0, 1]]


def test_where_scores_say_nothing_all_is_shown(graph):
    shown = Showing()(graph)
    assert Showing().min_score == 0 and shown.confidences is None and shown.pairs.tolist() == [[0, 1], [0, 2]]


def test_a_blank_image_has_an_empty_graph(graph):
    shown = Showing(Merging(), CURVE)(replace(graph, predicate_scores=graph.predicate_scores * 1e-6))
    assert len(shown.boxes) == len(shown.pairs) == 0


def test_as_a_models_folder_has_it():
    for showing in (Showing(), Showing(Merging(-1.0, 2.0, 3.0), CURVE)):
        assert Showing.of_names(json.loads(json.dumps(showing.record()))) == showing
    assert Showing.of_names({}) == Showing()
