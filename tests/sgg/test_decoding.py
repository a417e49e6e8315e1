"""One label a box: suppression of boxes and of labels against the one-by-one rules."""

import numpy as np
import torch

from groundgraph.sgg.decoding import decode_labels, suppress


def some(seed=0, images=4, regions=40):
    rng = np.random.default_rng(seed)
    corner = rng.uniform(0, 30, (images, regions, 2))
    boxes = np.concatenate([corner, corner + rng.uniform(8, 25, (images, regions, 2))], -1)
    mask = np.ones((images, regions), bool)
    mask[1, regions - 10 :], mask[2, 0] = False, False
    return rng, boxes, mask


def iou(a, b):
    sides = np.minimum(a[2:], b[2:]) - np.maximum(a[:2], b[:2])
    shared = np.clip(sides, 0, None).prod()
    return shared / ((a[2:] - a[:2]).prod() + (b[2:] - b[:2]).prod() - shared)


def test_suppression_equals_the_one_by_one_rule():
    rng, boxes, mask = some()
    scores, labels = rng.random((4, 40)), rng.integers(1, 3, (4, 40))
    scores[:, 5:9] = 0.5  # ties
    stays = suppress(*(torch.from_numpy(x) for x in (boxes, labels, scores, mask)), 0.4).numpy()
    for i in range(4):
        kept = []
        for j in np.argsort(-scores[i], kind="stable"):
            rivals = (k for k in kept if labels[i, k] == labels[i, j])
            if mask[i, j] and all(iou(boxes[i, k], boxes[i, j]) <= 0.4 for k in rivals):
                kept.append(j)
        assert sorted(kept) == np.flatnonzero(stays[i]).tolist()


def test_decoded_labels_equal_the_one_by_one_rule():
    rng, boxes, mask = some(1, regions=20)
    probabilities = rng.dirichlet(np.full(5, 0.3), (4, 20))
    labels = decode_labels(*(torch.from_numpy(x) for x in (probabilities, boxes, mask)), 0.3).numpy()
    for i in range(4):
        left = probabilities[i, :, 1:].copy()
        left[~mask[i]] = -9
        expected = np.zeros(20, int)
        for _ in range(mask[i].sum()):
            box, category = np.unravel_index(left.argmax(), left.shape)
            expected[box] = category + 1
            for other in range(20):
                if left[other, category] > 0 and iou(boxes[i, box], boxes[i, other]) >= 0.3:
                    left[other, category] -= 1
            left[box] = -9
        assert labels[i].tolist() == expected.tolist()
    plain = probabilities[..., 1:].argmax(-1) + 1
    assert (labels != plain)[mask].any()


def test_decoded_labels_by_hand():
    # Two boxes on one place, a third apart: the second loses "1" to the first, the third keeps it.
    boxes = torch.tensor([[[0.0, 0, 10, 10], [0, 0, 10, 9], [50, 50, 60, 60], [0, 0, 0, 0]]])
    probabilities = torch.tensor([[[0.1, 0.8, 0.1], [0.2, 0.6, 0.2], [0.0, 0.9, 0.1], [0.0, 1.0, 0.0]]])
    mask = torch.tensor([[True, True, True, False]])
    assert decode_labels(probabilities, boxes, mask, 0.5).tolist() == [[1, 2, 1, 0]]
    # A box that has lost its only label keeps the best it has lost.
    assert decode_labels(probabilities[..., :2], boxes, mask, 0.5).tolist() == [[1, 1, 1, 0]]
