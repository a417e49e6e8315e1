"""Triplet recall: small numbers worked out by hand. (The golden figures: test_evaluate.py.)"""

import numpy as np
import pytest

from groundgraph.data.graph_arrays import prediction_arrays, truth_arrays
from groundgraph.data.types import Graph, GroundTruth
from groundgraph.evaluation.recall import sgdet_recall, triplet_recall

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
    with pytest.raises(ValueError, match="predicate 4, but there are 3"):
        recall([truth((0, "on", 1))], [graph([(0, 1)], [[0, 1, 0, 0, 0]])], predicates=3)


def test_phrase_detection_looks_at_the_box_around_both():
    # Truth: the union of boxes 0 and 1 is [0, 29] x [0, 9], 300 pixels. Predicted: both boxes wrong, the same union.
    swapped = BOXES[[1, 0, 2]]
    arrays = truth_arrays([truth((0, "riding", 1))], CATEGORIES, PREDICATES)
    for boxes, detection, phrase in (
        (swapped, 0, 1),
        (BOXES, 1, 1),
        ([[0, 0, 9, 9], [5, 0, 14, 9], BOXES[2]], 0, 1),  # the union is half of the true one
        ([[0, 0, 9, 9], [4, 0, 13, 9], BOXES[2]], 0, 0),  # 140 of 300 pixels
    ):
        predicted = prediction_arrays([graph([(0, 1)], [[0, 1, 0, 0, 0]], boxes)])
        assert triplet_recall(arrays, predicted)["R", 20].mean == detection
        assert triplet_recall(arrays, predicted, phrase=True)["R", 20].mean == phrase
        assert triplet_recall(arrays, predicted, phrase=True)["ngR", 20].mean == phrase
    wrong_label = prediction_arrays([graph([(0, 1)], [[0, 1, 0, 0, 0]], labels=(1, 3, 3))])
    assert triplet_recall(arrays, wrong_label, phrase=True)["R", 20].mean == 0


def test_ties_keep_the_order_of_pairs_then_of_predicates():
    # All objects and predicates score alike: ng ranks pair 0's predicates 1..4, then pair 1's.
    flat = graph([(1, 0), (0, 1)], np.full((2, 5), 0.25), scores=(1, 1, 1))
    ranks = {("riding", 0): 5, ("on", 0): 8, ("riding", 1): 1, ("on", 1): 4}
    for (name, subject), rank in ranks.items():
        figures = recall([truth((subject, name, 1 - subject))], [flat], ks=(*range(1, 9),))
        assert [figures[f"ngR@{k}"] for k in range(1, 9)] == [float(k >= rank) for k in range(1, 9)]
    # With one predicate a pair the first of equals counts, and pairs keep their order.
    figures = recall([truth((0, "riding", 1), (1, "on", 0))], [flat], ks=(1, 2))
    assert (figures["R@1"], figures["R@2"]) == (0, 0.5)


def test_ties_at_the_last_place_are_broken_in_order_and_not_by_chance():
    # 60 pairs of one score: the best 20 are the first 20, in every image, however long the others' lists are.
    pairs, tables = [(0, 1)] * 60, np.zeros((60, 5))
    tables[:, 1] = 0.5
    tables[19, 3] = tables[20, 2] = 0.5
    truths = [truth((0, "riding", 1), (0, "near", 1), (0, "wearing", 1))] * 2
    figures = recall(truths, [graph(pairs, tables), graph(pairs[:30], tables[:30])], ks=(20, 21, 22, 23))
    # Places 1..19 are riding, then pair 19's riding and near, then pair 20's riding and wearing.
    assert [figures[f"ngR@{k}"] for k in (20, 21, 22, 23)] == pytest.approx([1 / 3, 2 / 3, 2 / 3, 1])


def test_a_predicate_of_minus_infinity_is_not_predicted():
    table = [[0, -np.inf, 0.5, -np.inf, -np.inf], [-np.inf] * 5]
    zero = graph([(0, 1), (1, 0)], table, scores=(0.0, 1.0, 1.0))
    truths = [truth((0, "wearing", 1), (0, "riding", 1), (1, "riding", 0))]
    figures = recall(truths, [zero])
    assert (figures["R@100"], figures["ngR@100"]) == (pytest.approx(1 / 3), pytest.approx(1 / 3))


def test_zero_shot_counts_only_triplets_never_seen_and_images_that_have_any():
    # Image 0: riding (seen) found, wearing (unseen) not. Image 1: unseen found. Image 2: none unseen.
    truths = [truth((0, "riding", 1), (0, "wearing", 2)), truth((0, "wearing", 2)), truth((0, "riding", 1))]
    graphs = [graph([(0, 1)], [[0, 1, 0, 0, 0]]), graph([(0, 2)], [[0, 0, 1, 0, 0]]), graph([], [])]
    for convention in ("default", "sgb"):
        figures = recall(truths, graphs, zeroshot=np.array([[1, 3, 2], [2, 2, 2]]), convention=convention)
        assert (figures["zR@20"], figures["ngzR@20"]) == (0.5, 0.5)
    graphs[1] = graph([], [])
    assert recall(truths, graphs, zeroshot=np.array([[1, 3, 2]]))["zR@20"] == 0
    assert "zR@20" not in recall(truths, graphs)


def test_mean_recall_by_hand_in_both_conventions():
    # riding: image 0 finds 1 of 2, image 1 all, image 2 (no pair) none. near: image 1 none. The other two never occur.
    truths = [
        truth((0, "riding", 1), (2, "riding", 1)),
        truth((0, "riding", 1), (1, "near", 2)),
        truth((0, "riding", 1)),
    ]
    graphs = [graph([(0, 1)], [[0, 1, 0, 0, 0]])] * 2 + [graph([], [])]
    assert recall(truths, graphs)["mR@50"] == pytest.approx((0.5 + 1 + 0) / 3 / 4)
    assert recall(truths, graphs, convention="sgb")["mR@50"] == pytest.approx((0.5 + 1) / 2 / 4)
    assert recall(truths, graphs)["R@50"] == pytest.approx((0.5 + 0.5 + 0) / 3)
    assert recall(truths, graphs, convention="sgb")["R@50"] == pytest.approx(0.5)
