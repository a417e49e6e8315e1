"""Batches: padding, pairs, union features, bad input."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from tiny_regions import some_regions

from groundgraph.data.types import Regions
from groundgraph.sgg.batch import collate, ordered_pairs, overlaps, with_pairs


def test_overlapping_pairs_only():
    boxes = np.array([[0, 0, 10, 10], [5, 5, 15, 15], [30, 30, 40, 40]], np.float32)
    batch = collate([Regions(boxes, np.zeros(3, int), np.ones(3), np.zeros((3, 6)), (50, 50))])
    assert ordered_pairs(batch, overlapping=True).tolist() == [[0, 0, 1], [0, 1, 0]]
    assert overlaps(batch.boxes)[0, 0].tolist() == pytest.approx([1, 25 / 175, 0])


def test_union_features_are_pooled_for_all_images_at_once_and_stand_beside_their_pairs():
    batch = collate([some_regions(3, 0), some_regions(2, 1), some_regions(2, 2)])
    pairs = torch.tensor([[2, 0, 1], [0, 0, 2], [0, 1, 0], [2, 1, 0]])  # as sampling leaves them: images mixed
    pooled = []

    def unions(images, pairs):
        pooled.append(images)
        parts = zip(images, pairs, strict=True)
        return [np.stack([np.full(len(ends), i), ends[:, 0], ends[:, 1]], 1) for i, ends in parts]

    paired = with_pairs(batch, pairs, [7, 5, 9], unions)
    assert paired.unions.tolist() == [[9, 0, 1], [7, 0, 2], [7, 1, 0], [9, 1, 0]]
    assert pooled == [[7, 9]]
    assert with_pairs(batch, pairs, [7, 5, 9]).unions is None
    assert len(with_pairs(batch, pairs[:0], [7, 5, 9], unions).unions) == 0
    with pytest.raises(ValueError, match="union features and pairs"):
        with_pairs(batch, pairs, [7, 5, 9], lambda images, ends: [np.zeros((1, 3))] * len(images))


def test_soft_labels_are_padded_like_the_rest():
    soft = [np.full((2, 3), 1 / 3), np.eye(3)[:1]]
    batch = collate([some_regions(2, 0), some_regions(1, 1)], [np.array([0, 1]), np.array([2])], soft)
    assert batch.soft.shape == (2, 2, 3)
    assert batch.soft[1].tolist() == [[1, 0, 0], [0, 0, 0]]
    assert batch.targets.tolist() == [[0, 1], [2, 0]]
    with pytest.raises(ValueError, match="differ in number"):
        collate([some_regions(2, 0)], [np.zeros(2)], [np.zeros((1, 3))])


def test_bad_input_is_named():
    with pytest.raises(ValueError, match="at least one region"):
        collate([some_regions(0, 0)])
    wide = replace(some_regions(2, 0), features=np.zeros((2, 7), np.float32))
    with pytest.raises(ValueError, match="one detector"):
        collate([some_regions(2, 0), wide])
    with pytest.raises(ValueError, match="differ in number"):
        collate([some_regions(2, 0)], [np.zeros(3)])
