"""The right pair among the candidates, by hand."""

import numpy as np
import pytest

from groundgraph.errors import InputError
from groundgraph.evaluation.pairs import (
    TripletPairs,
    entity_pair_scores,
    listed_pair_scores,
    pair_candidates,
    right_pairs,
)

# Regions: two persons (0, 1), a shirt (2), a horse (3). Entities: person, shirt, person, horse; person.
MEANS = np.array([[1, 1, 0, 0], [0, 0, 1, 0], [1, 1, 0, 0], [0, 0, 0, 1], [1, 1, 0, 0]], bool)
TRIPLETS = np.array([[0, 1], [2, 3], [0, 4], [1, 3]])  # wears, rides, near (two persons), and shirt on horse
CANDIDATES = pair_candidates(MEANS, TRIPLETS)


def true_pairs(*pairs):
    right = np.zeros((4, 4, 4), bool)
    for triplet, subject, object_ in pairs:
        right[triplet, subject, object_] = True
    return right


RIGHT = true_pairs((0, 1, 2), (1, 0, 3), (2, 0, 1), (3, 2, 3))


def test_candidates_have_the_categories_and_are_two_regions():
    assert [np.argwhere(own).tolist() for own in CANDIDATES] == [
        [[0, 2], [1, 2]],
        [[0, 3], [1, 3]],
        [[0, 1], [1, 0]],
        [[2, 3]],
    ]


def test_the_best_candidate_counts_and_a_tie_by_expectation():
    scores = np.zeros((4, 4, 4))
    scores[0, 1, 2] = 1  # right
    scores[1, 1, 3] = 1  # the wrong rider of the right horse
    scores[:, 3, 0] = 9  # no candidate, however high
    figures = right_pairs([TripletPairs(scores, CANDIDATES, RIGHT)])
    # The third is a tie of (0, 1) and (1, 0): half of the pair, and of each end; the fourth has one candidate.
    assert figures["triplets"] == 3
    assert figures["pair"] == pytest.approx((1 + 0 + 0.5) / 3)
    assert figures["entity"] == pytest.approx((1 + 0.5 + 0.5) / 3)
    assert figures["pair chance"] == pytest.approx(0.5)
    assert figures["entity chance"] == pytest.approx((0.75 + 0.75 + 0.5) / 3)


def test_several_pairs_may_be_right():
    both = true_pairs((0, 0, 2), (0, 1, 2))
    assert right_pairs([TripletPairs(np.zeros((4, 4, 4)), CANDIDATES, both)])["pair"] == pytest.approx((1 + 0 + 0) / 3)


def test_scores_of_pairs_from_those_of_regions():
    scores = np.log([[0.2, 0.3, 0.1, 0.4], [0.1, 0.1, 0.7, 0.1]])
    pairs = entity_pair_scores(scores, np.array([[0, 1]]))
    assert pairs.shape == (1, 4, 4)
    assert np.exp(pairs[0, 1, 2]) == pytest.approx(0.3 * 0.7) and np.exp(pairs[0, 3, 0]) == pytest.approx(0.4 * 0.1)
    # The rule's scores are 1 and 0: all candidates tie, so it is what chance gives.
    rule = entity_pair_scores(MEANS.astype(np.float32), TRIPLETS)
    figures = right_pairs([TripletPairs(rule, CANDIDATES, RIGHT)])
    assert figures["pair"] == figures["pair chance"] and figures["entity"] == figures["entity chance"]


def test_scores_of_pairs_from_a_list_of_the_best():
    table = listed_pair_scores(np.array([[[1, 2], [0, 2], [-1, -1]]]), np.array([[-0.1, -2.0, 0.0]]), 4)
    assert table[0, 1, 2] == -0.1 and table[0, 0, 2] == -2 and np.isinf(table).sum() == 14


def test_without_a_triplet_of_several_candidates_there_is_no_figure():
    alone = TripletPairs(np.zeros((1, 4, 4)), CANDIDATES[3:], RIGHT[3:])
    assert right_pairs([alone]) == right_pairs([]) | {"triplets": 0}
    assert right_pairs([])["pair"] is None


def test_wrong_scores_are_errors():
    with pytest.raises(InputError, match="not a number"):
        right_pairs([TripletPairs(np.full((4, 4, 4), np.nan), CANDIDATES, RIGHT)])
    with pytest.raises(InputError, match="scores are"):
        right_pairs([TripletPairs(np.zeros((4, 3, 3)), CANDIDATES, RIGHT)])
