"""Labels from annotated boxes: the fully supervised upper bound of what pseudo labels could teach."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from groundgraph.data.boxes import box_iou
from groundgraph.data.types import GroundTruth, Regions
from groundgraph.errors import InputError
from groundgraph.sgg.examples import Draw


def true_labels(
    truth: GroundTruth,
    regions: Regions,
    categories: Sequence[str],
    predicates: Sequence[str],
    overlap: float = 0.5,
) -> tuple[np.ndarray, np.ndarray]:
    """What the annotation says of the regions.

    A region has the label of the annotated box with which it has the largest IoU, if that is at least `overlap`, and
    is background otherwise. Two regions are related as their boxes are; of several regions on one box, all are
    (Scene-Graph-Benchmark's matching in training).

    Args:
        truth: The annotation; boxes and relations of names outside of the vocabulary are left out.
        regions: Of the image.
        categories: The evaluation vocabulary.
        predicates: The evaluation vocabulary.
        overlap: The least IoU.

    Returns:
        Labels [V] in 0..C and relations [R, 3] (subject region, object region, predicate 1..P).
    """
    category_number = {name: i + 1 for i, name in enumerate(categories)}
    predicate_number = {name: i + 1 for i, name in enumerate(predicates)}
    category = np.array([category_number.get(name, 0) for name in truth.labels], np.int64)
    kept = np.flatnonzero(category)
    if not len(kept) or not len(regions):
        return np.zeros(len(regions), np.int64), np.zeros((0, 3), np.int64)
    iou = box_iou(regions.boxes[:, None], truth.boxes[kept])
    box = np.where(iou.max(1) >= overlap, kept[iou.argmax(1)], -1)
    labels = np.where(box >= 0, category[box], 0)

    named = [(s, predicate_number[p], o) for s, p, o in truth.relations if p in predicate_number]
    relations = np.array(named, np.int64).reshape(-1, 3)
    takers = box[None] == np.arange(len(category))[:, None]
    t, s, o = np.nonzero(takers[relations[:, 0]][:, :, None] & takers[relations[:, 2]][:, None, :])
    related = np.stack([s, o, relations[t, 1]], 1)
    return labels, np.unique(related[s != o], axis=0)


def supervised(
    truths: Sequence[GroundTruth | None],
    regions: Sequence[Regions],
    categories: Sequence[str],
    predicates: Sequence[str],
    overlap: float = 0.5,
) -> Draw:
    """A `Draw` that gives every image its `true_labels`, matched once.

    Raises:
        InputError: An image has no annotation.
    """
    annotated = [truth for truth in truths if truth is not None]
    if len(annotated) != len(regions):
        raise InputError(
            "full supervision needs annotated boxes of every training image, and this data has some without"
        )
    images = zip(annotated, regions, strict=True)
    labels = [true_labels(truth, proposals, categories, predicates, overlap) for truth, proposals in images]
    return lambda image, rng: labels[image]
