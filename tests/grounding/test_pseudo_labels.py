"""The rules of METHOD.md section 5, each on a case small enough to see."""

import json

import numpy as np

from groundgraph.data.types import PseudoLabels
from groundgraph.grounding.pseudo_labels import (
    draw_labels,
    keep_best,
    pseudo_of,
    pseudo_record,
    soft_labels,
    softmax_shares,
    top_regions,
)


def pseudo(categories, regions, scores, triplets, count=4, weights=None):
    return PseudoLabels(
        np.array(categories),
        np.array(regions),
        np.array(scores, np.float32),
        np.array(scores if weights is None else weights, np.float32),
        np.array(triplets, np.int64).reshape(-1, 3),
        count,
    )


def rng(seed=0):
    return np.random.default_rng(seed)


def test_of_more_candidates_written_down_the_best_are_trained_on():
    stored = pseudo([2, 0], [[3, 1, 0], [2, -1, -1]], [[0.9, 0.4, 0.1], [0.7, 0, 0]], [[0, 1, 4]])
    best = keep_best(stored, 2)
    assert best.regions.tolist() == [[3, 1], [2, -1]] and best.scores.shape == best.weights.shape == (2, 2)
    assert best.triplets.tolist() == stored.triplets.tolist() and keep_best(stored, 9).regions.shape == (2, 3)


def test_top_regions_are_the_best_and_padded():
    regions, scores = top_regions(np.array([[0.1, 0.9, 0.5], [3.0, 1.0, 2.0]], np.float32), 2)
    assert regions.tolist() == [[1, 2], [0, 2]] and np.allclose(scores, [[0.9, 0.5], [3, 2]])
    regions, _ = top_regions(np.array([[0.1, 0.9]], np.float32), 3)
    assert regions.tolist() == [[1, 0, -1]]
    regions, scores = top_regions(np.array([[1.0, 0.0, 1.0], [0.0, 0.0, 0.0]], np.float32), 3, floor=0.0)
    assert regions.tolist() == [[0, 2, -1], [-1, -1, -1]] and scores.tolist() == [[1, 1, 0], [0, 0, 0]]


def test_ties_fall_at_random():
    firsts = {top_regions(np.ones((1, 4), np.float32), 1, rng=rng(s))[0][0, 0] for s in range(60)}
    assert firsts == {0, 1, 2, 3}


def test_one_candidate_an_entity_each_equally_often():
    p = pseudo([2], [[0, 1, 3]], [[3, 2, 1]], [])
    seen = np.zeros(4)
    generator = rng()
    for _ in range(3000):
        labels, relations = draw_labels(p, generator)
        assert (labels > 0).sum() == 1 and labels.max() == 3 and relations.shape == (0, 3)
        seen += labels > 0
    assert seen[2] == 0 and np.all(np.abs(seen[[0, 1, 3]] / 3000 - 1 / 3) < 0.03)


def test_drawing_by_score_follows_the_softmax():
    p = pseudo([2], [[0, 1, 3]], [[2, 1, 0]], [])
    seen, generator = np.zeros(4), rng()
    for _ in range(3000):
        seen += draw_labels(p, generator, "score")[0] > 0
    e = np.exp([2, 1, 0])
    assert np.all(np.abs(seen[[0, 1, 3]] / 3000 - e / e.sum()) < 0.03)


def test_regions_nobody_takes_are_background_and_unknown_entities_take_none():
    labels, relations = draw_labels(pseudo([1, -1], [[0], [2]], [[1], [9]], [[0, 1, 5]]), rng())
    assert labels.tolist() == [2, 0, 0, 0] and len(relations) == 0


def test_the_higher_score_wins_a_region_and_the_losers_triplet_goes():
    p = pseudo([1, 6, 3], [[0], [0], [2]], [[0.4], [0.7], [0.1]], [[0, 2, 4], [1, 2, 5]])
    labels, relations = draw_labels(p, rng())
    assert labels.tolist() == [7, 0, 4, 0]
    assert relations.tolist() == [[0, 2, 6]]


def test_two_mentions_of_one_category_share_a_region():
    p = pseudo([1, 1, 3], [[0], [0], [2]], [[0.4], [0.7], [0.1]], [[0, 2, 4], [1, 2, 5]])
    labels, relations = draw_labels(p, rng())
    assert labels.tolist() == [2, 0, 4, 0]
    assert relations.tolist() == [[0, 2, 5], [0, 2, 6]]


def test_a_triplet_on_one_region_is_dropped():
    labels, relations = draw_labels(pseudo([1, 1], [[0], [0]], [[1], [1]], [[0, 1, 2]]), rng())
    assert labels[0] == 2 and len(relations) == 0


def test_the_same_triplet_of_two_captions_counts_once():
    p = pseudo([1, 3, 1, 3], [[0], [2], [0], [2]], [[1], [1], [1], [1]], [[0, 1, 2], [2, 3, 2]])
    assert draw_labels(p, rng())[1].tolist() == [[0, 2, 3]]


def test_every_candidate_for_the_rule():
    p = pseudo([1, 3], [[0, 1], [2, -1]], [[1, 1], [1, 0]], [[0, 1, 2]])
    labels, relations = draw_labels(p, rng(), "every")
    assert labels.tolist() == [2, 2, 4, 0] and relations.tolist() == [[0, 2, 3], [1, 2, 3]]


def test_nothing_to_draw():
    none = np.zeros((0, 3), np.float32)
    empty = PseudoLabels(np.zeros(0, np.int64), none.astype(np.int64), none, none, none.astype(np.int64), 2)
    labels, relations = draw_labels(empty, rng())
    assert labels.tolist() == [0, 0] and relations.shape == (0, 3)


def test_shares_are_of_the_softmax_over_all_regions():
    scores = np.array([[1.0, 3.0, 2.0]], np.float32)
    e = np.exp([1, 3, 2])
    shares = softmax_shares(scores, np.array([[1, 2, -1]]))
    np.testing.assert_allclose(shares, [[e[1] / e.sum(), e[2] / e.sum(), 0]], rtol=1e-5)


def test_soft_labels_by_hand():
    # Two mentions of category 0 and one of category 2, whose word sits elsewhere; an entity without a category.
    p = pseudo(
        [0, 0, 2, -1],
        [[0, 1], [0, -1], [2, 0], [1, -1]],
        np.zeros((4, 2)),
        [[0, 2, 1], [1, 2, 1], [0, 2, 0], [2, 2, 0]],
        3,
        [[0.3, 0.2], [0.5, 0.0], [0.9, 0.1], [1.0, 0.0]],  # the first two rows are scaled to sum to 1
    )
    found = soft_labels(p, 3, 2)
    a, c = 1.0, 0.1  # region 0: category 0 by either mention (1 - (1 - .6)(1 - 1)), category 2
    rows = [
        [(1 - a) * (1 - c), a, 0, c],
        [1 - 0.4, 0.4, 0, 0],
        [1 - 0.9, 0, 0, 0.9],
    ]
    np.testing.assert_allclose(found.objects, [np.array(r) / sum(r) for r in rows], rtol=1e-5)
    # Pairs (0, 2): predicate 1 by the surer of two mentions, 1 x .9; predicate 0 by the first, .6 x .9.
    # (1, 2): .4 x .9.
    # (1, 0) is .4 x .1, below the floor; (2, 0) of the triplet with itself: .9 x .1 and (0, 2) .1 x .9.
    assert found.pairs.tolist() == [[0, 2], [1, 2], [2, 0]]
    ends = [[(1 - 0.54) * (1 - 0.9), 0.54, 0.9], [(1 - 0.36) ** 2, 0.36, 0.36], [1 - 0.09, 0.09, 0]]
    np.testing.assert_allclose(found.predicates, [np.array(r) / sum(r) for r in ends], rtol=1e-5)


def test_soft_labels_of_an_image_without_entities_are_background():
    none = np.zeros((0, 3), np.float32)
    empty = PseudoLabels(np.zeros(0, np.int64), none.astype(np.int64), none, none, none.astype(np.int64), 2)
    found = soft_labels(empty, 4, 2)
    assert found.objects.tolist() == [[1, 0, 0, 0, 0]] * 2 and found.pairs.shape == (0, 2)
    assert found.predicates.shape == (0, 3)


def test_a_record_is_plain_json_and_comes_back():
    p = pseudo([1, -1], [[0, 2], [3, -1]], [[0.5, 0.25], [1.5, 0]], [[0, 1, 3]], 4, [[0.5, 0.25], [0.75, 0]])
    record = json.loads(json.dumps(pseudo_record("a", p, ["man", "sky"])))
    assert record["entities"][1] == {"name": "sky", "category": -1, "regions": [3], "scores": [1.5], "weights": [0.75]}
    again = pseudo_of(record, 4)
    for name in ("categories", "regions", "scores", "weights", "triplets"):
        np.testing.assert_array_equal(getattr(again, name), getattr(p, name))
    assert again.count == 4
