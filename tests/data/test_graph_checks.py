"""Arrays in: the golden layout, one mapping an image, and what is refused."""

import numpy as np
import pytest

from groundgraph.data.graph_checks import as_predictions, as_truth

BOXES = [[0, 0, 9, 9], [20, 0, 29, 9]]
TRUE = [
    {"boxes": BOXES, "labels": [1, 2], "rels": [[0, 1, 1], [1, 0, 3]]},
    {"boxes": [], "labels": [], "rels": []},
    {"boxes": BOXES[:1], "labels": [3], "rels": np.zeros((0, 3))},
]
FOUND = [
    {"boxes": BOXES, "labels": [1, 2], "scores": [0.9, 0.8], "pairs": [[0, 1]], "rel_scores": [[0, 0.5, 0, 0]]},
    {"boxes": [], "labels": [], "scores": [], "pairs": [], "rel_scores": []},
    {"boxes": BOXES, "labels": [0, 2], "scores": [1, 1], "pairs": [], "rel_scores": np.zeros((0, 4))},
]


def test_one_mapping_an_image_equals_the_flat_layout():
    truth, found = as_truth(TRUE), as_predictions(FOUND)
    flat = as_truth(
        {
            "gt_boxes": [*BOXES, BOXES[0]],
            "gt_labels": [1, 2, 3],
            "gt_rels": [[0, 1, 1], [1, 0, 3]],
            "gt_box_offsets": [0, 2, 2, 3],
            "gt_rel_offsets": [0, 2, 2, 2],
        }
    )
    for name, array in vars(flat).items():
        np.testing.assert_array_equal(getattr(truth, name), array)
        assert getattr(truth, name).dtype == array.dtype
    assert found.box_offsets.tolist() == [0, 2, 2, 4] and found.pair_offsets.tolist() == [0, 1, 1, 1]
    assert found.predicate_scores.shape == (1, 4) and found.boxes.dtype == np.float32
    assert as_predictions(found).pairs.tolist() == [[0, 1]]
    assert as_truth([]).images == as_predictions([]).images == 0


def refused(side, image, **changes):
    images = [dict(row) for row in (TRUE if side is as_truth else FOUND)]
    images[image].update(changes)
    return lambda: side(images, "x.npz")


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (refused(as_truth, 0, labels=[1]), "x.npz: 3 boxes have 2 labels"),
        (refused(as_truth, 0, labels=[0, 1]), "labels: 0 is too small; they count from 1"),
        (refused(as_truth, 0, rels=[[0, 2, 1]]), r"image 0\) joins boxes \[0, 2\], which has 2"),
        (refused(as_truth, 0, rels=[[0, 1, 0]]), "predicate is 0"),
        (refused(as_truth, 0, rels=[[0, 1]]), "have shape"),
        (refused(as_truth, 0, rels=[[-1, 1, 1]]), "-1 is too small"),
        (refused(as_truth, 0, labels=[1.5, 2]), "whole numbers"),
        (refused(as_predictions, 0, scores=[np.nan, 1]), "scores: row 0 is not a finite number"),
        (refused(as_predictions, 0, boxes=[[0, 0, 1, np.inf], BOXES[1]]), "boxes: row 0"),
        (refused(as_predictions, 0, rel_scores=[[0, np.nan, 0, 0]]), "not a number"),
        (refused(as_predictions, 0, rel_scores=[[0, 1, 0, 0]] * 2), r"1 pairs need scores of shape \(1, 1 \+"),
        (refused(as_predictions, 0, rel_scores=[[0]]), "1 pairs need"),
        (refused(as_predictions, 2, pairs=[[0, 5]], rel_scores=[[0, 1, 0, 0]]), "image 2"),
        (refused(as_predictions, 2, pairs=[[0, 1]], rel_scores=[[0, 1]]), "different images"),
        (lambda: as_truth([{"boxes": BOXES}], "x.npz"), 'x.npz, image 0: has no "gt_labels"; it has boxes'),
        (lambda: as_truth({}, "x.npz"), 'x.npz: has no "gt_boxes"; it has nothing'),
    ],
)
def test_bad_arrays_are_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()


@pytest.mark.parametrize("offsets", [[0, 1], [1, 2], [0, 3, 2], [[0, 2]], [0.0, 2.0], []])
def test_bad_offsets_are_named(offsets):
    flat = {"gt_boxes": BOXES, "gt_labels": [1, 2], "gt_rels": np.zeros((0, 3)), "gt_rel_offsets": [0, 0]}
    assert as_truth(flat | {"gt_box_offsets": [0, 2]}).images == 1
    with pytest.raises(ValueError, match="box offsets must"):
        as_truth(flat | {"gt_box_offsets": offsets})
    with pytest.raises(ValueError, match="relations are of 1 images, the boxes of 2"):
        as_truth(flat | {"gt_box_offsets": [0, 2, 2]})
