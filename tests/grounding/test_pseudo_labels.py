"""The rules of METHOD.md section 5, each on a case small enough to see."""

import numpy as np

from groundgraph.grounding.pseudo_labels import PseudoLabels, draw_labels, top_regions


def pseudo(categories, regions, scores, triplets, count=4):
    return PseudoLabels(
        np.array(categories),
        np.array(regions),
        np.array(scores, np.float32),
        np.array(triplets, np.int64).reshape(-1, 3),
        count,
    )


def rng(seed=0):
    return np.random.default_rng(seed)


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
    empty = PseudoLabels(
        np.zeros(0, np.int64), np.zeros((0, 3), np.int64), np.zeros((0, 3), np.float32), np.zeros((0, 3), np.int64), 2
    )
    labels, relations = draw_labels(empty, rng())
    assert labels.tolist() == [0, 0] and relations.shape == (0, 3)
