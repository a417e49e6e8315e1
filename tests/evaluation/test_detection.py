"""mAP50 by hand."""

import numpy as np
import pytest

from groundgraph.data.types import Graph, GroundTruth
from groundgraph.evaluation.detection import detection_map

CATEGORIES = ("man", "horse", "hat")
A, B, C = [0, 0, 10, 10], [20, 0, 30, 10], [40, 0, 50, 10]


def graph(boxes, labels, scores):
    pairs = np.zeros((0, 2), np.int64)
    boxes = np.array(boxes, np.float32).reshape(-1, 4)
    return Graph(boxes, np.array(labels, np.int64), np.array(scores, np.float32), pairs, np.zeros((0, 5), np.float32))


def truth(boxes, labels):
    return GroundTruth(np.array(boxes, np.float32).reshape(-1, 4), tuple(labels))


def test_average_precision_by_hand():
    # man: two true boxes; ranked right (.9), wrong (.8), right (.7): precision 1 up to recall .5, then 2/3.
    # horse: one true box, found. hat: never in the truth, left out, whatever is predicted.
    truths = [truth([A, C], ["man", "horse"]), truth([B], ["man"])]
    graphs = [graph([A, B, C, C], [1, 1, 2, 3], [0.9, 0.8, 0.5, 0.99]), graph([B], [1], [0.7])]
    mean, parts = detection_map(truths, graphs, CATEGORIES)
    man = (51 * 1 + 50 * 2 / 3) / 101  # COCO's 101 recall points: 0..0.5 and 0.51..1
    assert parts == pytest.approx({"man": man, "horse": 1.0}, abs=1e-5)
    assert mean == pytest.approx((man + 1) / 2, abs=1e-5)


def test_iou_of_half_counts_and_less_does_not():
    # Sides are inclusive pixels: [0, 9] x [0, 9] has 100 of them, [0, 9] x [0, 4] half.
    truths = [truth([[0, 0, 9, 9]], ["man"])]
    assert detection_map(truths, [graph([[0, 0, 9, 4]], [1], [0.9])], CATEGORIES)[0] == pytest.approx(1)
    assert detection_map(truths, [graph([[0, 0, 9, 3.9]], [1], [0.9])], CATEGORIES)[0] == 0


def test_a_box_takes_its_best_free_one_and_a_better_score_chooses_first():
    # The true boxes P and Q overlap. The first prediction fits both, P better; the second only P, which is taken.
    p, q = [0, 0, 99, 99], [0, 10, 99, 109]
    truths = [truth([p, q], ["man", "man"])]
    both, only_p = [0, 2, 99, 101], [0, 0, 99, 60]
    assert detection_map(truths, [graph([both, only_p], [1, 1], [0.9, 0.8])], CATEGORIES)[0] < 0.6
    # In the other order each finds one.
    assert detection_map(truths, [graph([both, only_p], [1, 1], [0.8, 0.9])], CATEGORIES)[0] == pytest.approx(1)


@pytest.mark.parametrize("seed", range(3))
def test_equal_to_pycocotools(seed, capsys):
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    # Whole pixels and few scores, so that overlaps and ranks tie.
    rng = np.random.default_rng(seed)

    def boxes(n):
        corner = rng.integers(0, 40, (n, 2))
        return np.concatenate([corner, corner + rng.integers(5, 25, (n, 2))], 1)

    true, found = [], []
    for _ in range(40):
        b = boxes(rng.integers(0, 9))
        near = [np.maximum(b + rng.integers(-3, 4, b.shape), 0) for _ in range(rng.integers(0, 4))]
        true.append((b, rng.integers(1, 4, len(b))))
        p = np.concatenate([boxes(6), *near])
        p[:, 2:] = np.maximum(p[:, 2:], p[:, :2] + 1)
        found.append((p, rng.integers(1, 5, len(p)), rng.integers(1, 20, len(p)) / 32))
    notes = [(i, int(k), *b) for i, (bs, ks) in enumerate(true) for b, k in zip(bs.tolist(), ks, strict=True)]
    coco = COCO()
    coco.dataset = {
        "images": [{"id": i} for i in range(40)],
        "categories": [{"id": k} for k in (1, 2, 3)],
        "annotations": [
            {
                "id": j + 1,
                "image_id": i,
                "category_id": k,
                "bbox": [x, y, X - x + 1, Y - y + 1],
                "area": 1,
                "iscrowd": 0,
            }
            for j, (i, k, x, y, X, Y) in enumerate(notes)
        ],
    }
    coco.createIndex()
    rows = [
        [i, x, y, X - x + 1, Y - y + 1, s, k]
        for i, (bs, ks, ss) in enumerate(found)
        for (x, y, X, Y), k, s in zip(bs, ks, ss, strict=True)
    ]
    run = COCOeval(coco, coco.loadRes(np.array(rows, float)), "bbox")
    run.params.iouThrs, run.params.maxDets = np.array([0.5]), [1, 10, 1000]
    run.evaluate()
    run.accumulate()
    wanted = run.eval["precision"][0, :, :, 0, -1].mean(0)
    truths = [truth(b, [CATEGORIES[k - 1] for k in ks]) for b, ks in true]
    mean, parts = detection_map(truths, [graph(*row) for row in found], CATEGORIES)
    np.testing.assert_allclose([parts[c] for c in CATEGORIES], wanted, atol=1e-12)
    assert mean == pytest.approx(wanted.mean(), abs=1e-12)


def test_more_than_a_hundred_boxes_all_count():
    wrong = [[60, 60, 70 + i, 70 + i] for i in range(150)]
    scores = np.linspace(0.9, 0.2, 151)
    mean, _ = detection_map([truth([A], ["man"])], [graph([*wrong, A], [1] * 151, scores)], CATEGORIES)
    assert mean == pytest.approx(1 / 151, abs=1e-5)


def test_images_without_truth_or_boxes():
    assert detection_map([truth([], [])], [graph([A], [1], [0.5])], CATEGORIES) == (0.0, {})
    assert detection_map([truth([A], ["man"])], [graph([], [], [])], CATEGORIES) == (0.0, {"man": 0.0})
    assert detection_map([truth([A, B], ["zebra", "man"])], [graph([B], [1], [0.5])], CATEGORIES)[0] == pytest.approx(1)
    with pytest.raises(ValueError, match="1 images have ground truth but 0"):
        detection_map([truth([], [])], [], CATEGORIES)
