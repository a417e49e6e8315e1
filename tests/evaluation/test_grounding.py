"""Grounding accuracy by hand: ties, groups, and which boxes an entity means."""

import itertools

import numpy as np
import pytest

from groundgraph.data.types import Entity, Example, GroundTruth, Mention, ParsedCaption
from groundgraph.evaluation.grounding import (
    GroundedEntities,
    ambiguous,
    category_truth,
    entity_truth,
    expected_recall,
    grounding_accuracy,
    region_hits,
    stacked,
    unseen,
)

BOXES = np.array([[0, 0, 10, 10], [20, 0, 30, 10], [0, 0, 10, 5], [0, 0, 10, 4.9]], np.float32)


def same(word, category):
    return word == category or (word, category) in {("guy", "man"), ("bike", "bicycle")}


def entity(caption, head, name=None):
    start = caption.index(head)
    return Entity(head, head, name or head, (start, start + len(head)), (start, start + len(head)))


def test_hits_use_plain_sides_and_any_true_box():
    # Half the box is exactly 0.5 and counts; 49 % does not. Entity 1 means two boxes, entity 2 none.
    hits = region_hits(BOXES, [BOXES[:1], BOXES[:2], np.zeros((0, 4))])
    assert hits.tolist() == [[True, False, True, False], [True, True, True, False], [False] * 4]
    assert region_hits(np.zeros((0, 4)), [BOXES[:1]]).shape == (1, 0)
    assert region_hits(BOXES, []).shape == (0, 4)


def test_ties_give_the_mean_over_the_tied_regions():
    hits = np.array([[1, 0, 0, 1]] * 4, bool)
    scores = np.array([[3, 2, 1, 0], [3, 3, 1, 0], [0, 0, 0, 0], [1, 2, 2, 2]])
    assert expected_recall(scores, hits).tolist() == pytest.approx([1, 1 / 2, 1 / 2, 1 / 3])
    # Top 2: certain; certain; one of C(4,2) = 6 draws misses both; two of three tied drawn: one of 3 draws misses.
    assert expected_recall(scores, hits, 2).tolist() == pytest.approx([1, 1, 5 / 6, 2 / 3])


def test_images_of_different_sizes_give_together_what_each_gives_alone():
    rng = np.random.default_rng(0)
    shapes = [(3, 5), (0, 4), (2, 0), (4, 1), (1, 2)]
    scores = [rng.integers(0, 3, shape).astype(float) for shape in shapes]  # many ties
    hits = [rng.random(shape) < 0.4 for shape in shapes]
    for k in (1, 3):
        alone = np.concatenate([expected_recall(*pair, k) for pair in zip(scores, hits, strict=True)])
        together = expected_recall(stacked(scores, -np.inf), stacked(hits, False), k)
        np.testing.assert_allclose(together, alone, atol=1e-12)


def test_expected_recall_equals_the_mean_over_every_tie_break():
    rng = np.random.default_rng(0)
    scores, hits = rng.integers(0, 3, (8, 5)), rng.random((8, 5)) < 0.3
    for k in (1, 2, 3, 5, 7):
        wanted = np.zeros(8)
        for order in itertools.permutations(range(5)):
            ranked = np.array(order)[np.argsort(-scores[:, order], axis=1, kind="stable")]
            wanted += np.take_along_axis(hits, ranked, 1)[:, :k].any(1) / 120
        np.testing.assert_allclose(expected_recall(scores, hits, k), wanted, atol=1e-12)


def test_groups_chance_upper_bound_and_counts():
    groups = {"ambiguous": np.array([True, False]), "unseen": np.array([False, False])}
    images = [
        GroundedEntities(np.array([[1, 0, 0, 0], [1, 1, 0, 0]]), BOXES, [BOXES[:1], BOXES[:1]], groups),
        GroundedEntities(np.zeros((1, 0)), np.zeros((0, 4)), [BOXES[:1]], {"ambiguous": np.array([True])}),
        GroundedEntities(np.zeros((0, 4)), BOXES, []),
    ]
    figures = grounding_accuracy(iter(images))
    assert figures["counts"] == {"all": 3, "ambiguous": 2, "unseen": 0}
    assert figures["accuracy"] == {"all": 0.5, "ambiguous": 0.5, "unseen": None}
    assert figures["chance"] == {"all": pytest.approx(1 / 3), "ambiguous": 0.25, "unseen": None}
    assert figures["upper"]["all"] == pytest.approx(2 / 3)
    assert figures["recall@3"]["all"] == pytest.approx(2 / 3)  # entity 1: two tied at the top, both are in
    assert grounding_accuracy([])["accuracy"]["all"] is None


def test_bad_scores_are_refused():
    with pytest.raises(ValueError, match="not a number"):
        expected_recall(np.array([[np.nan, 1]]), np.zeros((1, 2), bool))
    with pytest.raises(ValueError, match="1 entities and 4 regions"):
        grounding_accuracy([GroundedEntities(np.zeros((1, 3)), BOXES, [BOXES[:1]])])


CAPTION = "a guy rides a red bike"
TRUTH = GroundTruth(
    BOXES,
    ("man", "bicycle", "man", "tree"),
    mentions=(
        Mention(0, (0, 22), (3,)),
        Mention(0, (0, 5), (0,)),
        Mention(0, (14, 22), (1,)),
        Mention(1, (0, 5), (2,)),
    ),
)
PARSED = [
    ParsedCaption(CAPTION, (entity(CAPTION, "guy"), entity(CAPTION, "bike"))),
    ParsedCaption("two men", (entity("two men", "men", "man"), entity("two men", "two", "two"))),
]


def test_an_entity_is_tied_to_the_shortest_mention_of_its_head():
    example = Example("1", "1.png", (CAPTION, "two men"), truth=TRUTH)
    assert entity_truth(example, PARSED) == [[(0,), (1,)], [(2,), (2,)]]
    assert entity_truth(Example("1", "1.png"), PARSED) == [[(), ()], [(), ()]]


def test_category_truth_takes_every_box_of_the_category():
    example = Example("1", "1.png", truth=TRUTH)
    assert category_truth(example, PARSED, same) == [[(0, 2), (1,)], [(0, 2), ()]]


def test_ambiguous_and_unseen():
    objects = [(0,), (1,), (0, 2), (), (3,)]
    assert ambiguous(TRUTH, objects).tolist() == [True, False, False, False, False]
    assert unseen(TRUTH, objects, {"man", "horse"}, same).tolist() == [False, True, False, False, True]
    assert ambiguous(TRUTH, []).shape == unseen(TRUTH, [], set(), same).shape == (0,)
