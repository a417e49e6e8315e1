"""Triplet recall: the golden figures, and small numbers worked out by hand."""

import dataclasses
import json
import pathlib

import numpy as np
import pytest

from groundgraph.data.types import Graph, GroundTruth
from groundgraph.evaluation.recall import (
    PredictionArrays,
    TruthArrays,
    prediction_arrays,
    sgdet_recall,
    truth_arrays,
)

GOLDEN = pathlib.Path(__file__).parents[2].parent / "shared" / "golden" / "evaluation"


@pytest.mark.parametrize("task", ["sgdet", "predcls"])
@pytest.mark.parametrize("convention", ["default", "sgb"])
def test_golden_figures_to_the_last_digit(task, convention):
    if not GOLDEN.exists():
        pytest.skip("../shared/golden is not here")
    with np.load(GOLDEN / f"{task}.npz") as z:
        truth = TruthArrays(z["gt_boxes"], z["gt_labels"], z["gt_rels"], z["gt_box_offsets"], z["gt_rel_offsets"])
        names = ("boxes", "labels", "scores", "pairs", "rel_scores", "box_offsets", "pair_offsets")
        predictions = PredictionArrays(*(z[f"pred_{name}"] for name in names))
        if task == "predcls":  # there the labels are given, with score 1
            predictions = dataclasses.replace(predictions, scores=np.ones_like(predictions.scores))
        figures = sgdet_recall(truth, predictions, convention=convention, zeroshot=z["zeroshot"])
    golden = json.loads((GOLDEN / f"{task}.json").read_text())
    for name in ("R", "ngR", "mR", "ngmR", "zR", "ngzR"):
        for k in ("20", "50", "100"):
            # A mean may differ in its last bit with the order in which it is summed.
            assert figures[f"{name}@{k}"] == pytest.approx(golden[name][k], abs=1e-15), (name, k)


CATEGORIES, PREDICATES = ("man", "horse", "hat"), ("riding", "wearing", "near", "on")
BOXES = np.array([[0, 0, 9, 9], [20, 0, 29, 9], [40, 0, 49, 9]], np.float32)


def scores_of(*rows):
    return np.array(rows, np.float32)


def graph(pairs, predicate_scores, boxes=BOXES, labels=(1, 2, 3), scores=(0.9, 0.8, 0.7)):
    return Graph(
        np.asarray(boxes, np.float32),
        np.array(labels),
        np.array(scores, np.float32),
        np.array(pairs, np.int64).reshape(-1, 2),
        np.asarray(predicate_scores, np.float32).reshape(len(pairs), len(PREDICATES) + 1),
    )


def truth(*relations, boxes=BOXES, labels=("man", "horse", "hat")):
    return GroundTruth(boxes, labels, relations)


def recall(truths, graphs, **options):
    arrays = truth_arrays(truths, CATEGORIES, PREDICATES)
    return sgdet_recall(arrays, prediction_arrays(graphs), **options)


def test_ranks_and_predicates_by_hand():
    # Image 0: riding is second, wearing third and only in ng (its pair's best predicate is another).
    # Image 1: its one relation is found first.
    truths = [truth((0, "riding", 1), (0, "wearing", 2)), truth((1, "near", 0))]
    graphs = [
        graph([(1, 0), (0, 1), (0, 2)], [[0, 0.9, 0, 0, 0], [0, 0.8, 0, 0.1, 0], [0, 0.6, 0.5, 0, 0]]),
        graph([(1, 0)], [[0.5, 0, 0, 0.5, 0]]),
    ]
    figures = recall(truths, graphs, ks=(1, 2, 3, 4), zeroshot=np.array([[1, 3, 2]]))
    assert [figures[f"R@{k}"] for k in (1, 2, 3, 4)] == [0.5, 0.75, 0.75, 0.75]
    # ng, image 0: .9*.72 = .648, .8*.72 = .576, .6*.63 = .378, .5*.63 = .315 (wearing): fourth.
    assert [figures[f"ngR@{k}"] for k in (1, 2, 3, 4)] == [0.5, 0.75, 0.75, 1.0]
    assert figures["mR@4"] == pytest.approx((1 + 0 + 1 + 0) / 4)
    assert figures["ngmR@4"] == pytest.approx(3 / 4)
    assert (figures["zR@4"], figures["ngzR@4"]) == (0, 1)


def test_inclusive_pixels_and_the_threshold():
    # [0, 9] x [0, 9] has 100 pixels; a box of 50 of them has IoU exactly 0.5 and counts, one of 49.9 does not.
    half, less = BOXES.copy(), BOXES.copy()
    half[0, 3], less[0, 3] = 4, 3.99
    scores = [[0, 1, 0, 0, 0]]
    assert recall([truth((0, "riding", 1))], [graph([(0, 1)], scores, half)])["R@20"] == 1
    assert recall([truth((0, "riding", 1))], [graph([(0, 1)], scores, less)])["R@20"] == 0


def test_one_prediction_marks_every_relation_it_matches_and_duplicates_count():
    found = recall([truth((0, "riding", 1), (0, "riding", 1), (2, "near", 1))], [graph([(0, 1)], [[0, 1, 0, 0, 0]])])
    assert found["R@20"] == pytest.approx(2 / 3)


def test_images_without_a_pair_and_without_truth():
    truths = [truth((0, "riding", 1)), truth((0, "riding", 1)), truth()]
    full, empty = graph([(0, 1)], [[0, 1, 0, 0, 0]]), graph([], [])
    assert recall(truths, [full, empty, full])["R@50"] == 0.5
    assert recall(truths, [full, empty, full], convention="sgb")["R@50"] == 1.0
    nothing = Graph(np.zeros((0, 4)), np.zeros(0), np.zeros(0), np.zeros((0, 2)), np.zeros((0, 5)))
    assert recall(truths, [nothing] * 3, predicates=4) == {
        f"{n}@{k}": 0.0 for n in ("R", "mR", "ngR", "ngmR") for k in (20, 50, 100)
    }
    assert recall([truth()], [full])["R@20"] == 0.0
    assert recall([], [])["mR@20"] == 0.0


def test_names_outside_the_vocabulary_are_left_out():
    extra = truth((0, "riding", 2), (1, "near", 2), (0, "eating", 2), labels=("man", "zebra", "horse"))
    arrays = truth_arrays([extra, truth((2, "on", 1))], CATEGORIES, PREDICATES)
    assert arrays.labels.tolist() == [1, 2, 1, 2, 3]
    assert arrays.box_offsets.tolist() == [0, 2, 5]
    assert arrays.relations.tolist() == [[0, 1, 1], [2, 1, 4]]
    np.testing.assert_array_equal(arrays.boxes[:2], BOXES[[0, 2]])


def test_bad_input_is_named():
    with pytest.raises(ValueError, match="1 images have ground truth but 0"):
        recall([truth()], [])
    with pytest.raises(ValueError, match="convention"):
        recall([], [], convention="other")
