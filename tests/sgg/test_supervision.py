"""Labels from annotated boxes, by hand."""

import numpy as np
import pytest

from groundgraph.data.types import GroundTruth, Regions
from groundgraph.sgg.supervision import supervised, true_labels

CATEGORIES, PREDICATES = ("dog", "man", "ball"), ("holds", "sees")


def regions(*boxes):
    count = len(boxes)
    boxes = np.array(boxes, np.float32).reshape(-1, 4)
    return Regions(boxes, np.zeros(count, int), np.ones(count), np.zeros((count, 2), np.float32), (50, 50))


TRUTH = GroundTruth(
    boxes=np.array([[0, 0, 10, 10], [20, 0, 30, 10], [22, 0, 32, 10], [40, 40, 45, 45]], np.float32),
    labels=("man", "dog", "unicorn", "ball"),
    relations=((0, "sees", 1), (1, "holds", 3), (0, "rides", 1), (0, "sees", 2), (1, "holds", 1)),
)


def test_regions_take_the_nearest_known_box_and_relate_as_it_does():
    found = regions([0, 0, 10, 9], [0, 0, 10, 5], [21, 0, 31, 10], [0, 0, 10, 4.9], [40, 40, 45, 44])
    labels, relations = true_labels(TRUTH, found, CATEGORIES, PREDICATES)
    # IoU with the man .9, .5, and .49: background; region 2 overlaps dog and unicorn alike, but only dogs exist.
    assert labels.tolist() == [2, 2, 1, 0, 3]
    # Two regions see the dog, "rides" and the unicorn are unknown, and nothing holds itself.
    assert relations.tolist() == [[0, 2, 2], [1, 2, 2], [2, 4, 1]]
    assert true_labels(TRUTH, found, CATEGORIES, PREDICATES, 0.6)[0].tolist() == [2, 0, 1, 0, 3]


def test_the_same_predicate_on_two_regions_of_one_box_relates_them_to_others_only():
    truth = GroundTruth(TRUTH.boxes[:2], ("man", "dog"), ((1, "holds", 1),))
    labels, relations = true_labels(truth, regions([20, 0, 30, 9], [20, 0, 30, 10]), CATEGORIES, PREDICATES)
    assert labels.tolist() == [1, 1]
    assert relations.tolist() == [[0, 1, 1], [1, 0, 1]]


def test_images_without_regions_boxes_or_known_names_are_background():
    nothing = GroundTruth(np.zeros((0, 4), np.float32), ())
    unknown = GroundTruth(TRUTH.boxes[:1], ("unicorn",))
    for truth, found in ((TRUTH, regions()), (nothing, regions([0, 0, 1, 1])), (unknown, regions([0, 0, 10, 10]))):
        labels, relations = true_labels(truth, found, CATEGORIES, PREDICATES)
        assert labels.tolist() == [0] * len(found)
        assert relations.shape == (0, 3)


def test_a_draw_for_training_and_images_without_annotation():
    images = [regions([0, 0, 10, 10]), regions([20, 0, 30, 10])]
    draw = supervised([TRUTH, TRUTH], images, CATEGORIES, PREDICATES)
    assert [draw(i, None)[0].tolist() for i in (1, 0)] == [[1], [2]]
    with pytest.raises(ValueError, match="annotated boxes of every training image"):
        supervised([TRUTH, None], images, CATEGORIES, PREDICATES)
