"""How good pseudo labels are where the truth is known, and the bounds that no grounder passes (METHOD.md section 6)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from groundgraph.evaluation.grounding import expected_recall, in_parts, region_hits, stacked


@dataclass(frozen=True)
class PseudoLabelledImage:
    """One image's pseudo labels with its truth: E entities, V regions.

    Attributes:
        scores: [E, V], a grounder's a_ij.
        boxes: [V, 4] xyxy in pixels, the regions.
        true_boxes: E arrays [k, 4], any of the k is right; empty where the truth is not known.
        triplets: [T, 2], subject and object of each triplet, rows of scores.
        object: [E, V], the object-aware teacher's targets (Eq. 6); None where it was not asked.
        interaction: [E, V], the interaction-aware teacher's (Eq. 8); likewise.
        pairs: [T, 2], each triplet's best pair of regions, -1 where there is none; None: its ends' best regions.
    """

    scores: np.ndarray
    boxes: np.ndarray
    true_boxes: Sequence[np.ndarray]
    triplets: np.ndarray
    object: np.ndarray | None = None
    interaction: np.ndarray | None = None
    pairs: np.ndarray | None = None


def label_quality(images: Iterable[PseudoLabelledImage]) -> dict[str, float | int | None]:
    """Metrics over the entities and triplets of many images whose truth is known.

    Args:
        images: one after the other; entities without true boxes do not count.

    Returns:
        Fractions of 1, None where nothing counts. "box recall@1" and "@3": a right region (IoU >= 0.5) is the best, is
        among the three best; ties are broken at random (the expectation). "triplet precision": both regions of the best
        pair are right; where single regions are scored, the best regions of subject and object are. Bounds: "best
        region": some region is right; "better teacher": the better of the two teachers' best regions is, where both
        were asked (a silent one is wrong). "entities" and "triplets" are how many count.
    """
    entities, triplets = [np.zeros((0, 4))], [np.zeros(0)]
    for part in in_parts(images):
        own_hits = [region_hits(image.boxes, image.true_boxes) for image in part]
        hits = stacked(own_hits, False)
        measured = np.array([len(boxes) > 0 for image in part for boxes in image.true_boxes], bool)
        scores = _stacked([image.scores for image in part], own_hits)
        best = expected_recall(scores, hits, 1)
        rows = np.column_stack([best, expected_recall(scores, hits, 3), hits.any(1), _better_teacher(part, own_hits)])
        entities.append(rows[measured])
        starts = np.cumsum([0, *map(len, own_hits)])
        for image, start in zip(part, starts, strict=False):
            ends = start + np.reshape(image.triplets, (-1, 2)).astype(np.int64)
            counted = measured[ends].all(1)
            if image.pairs is None:
                triplets.append(best[ends[counted]].prod(1))
            else:
                pairs = np.reshape(image.pairs, (-1, 2))[counted]
                right = hits[ends[counted], pairs].all(1) if hits.size else np.zeros(len(pairs), bool)
                triplets.append((right & (pairs >= 0).all(1)).astype(np.float64))
    table, precision = np.concatenate(entities), np.concatenate(triplets)
    return {
        "box recall@1": _mean(table[:, 0]),
        "box recall@3": _mean(table[:, 1]),
        "triplet precision": _mean(precision),
        "best region": _mean(table[:, 2]),
        "better teacher": _mean(table[~np.isnan(table[:, 3]), 3]),
        "entities": len(table),
        "triplets": len(precision),
    }


def _better_teacher(images: Sequence[PseudoLabelledImage], hits: Sequence[np.ndarray]) -> np.ndarray:
    """Chance that the better of the two teachers' best regions is right, [sum E]; nan where not both were asked."""
    taught = [image.object is not None and image.interaction is not None for image in images]
    right = []
    for teacher in ("object", "interaction"):
        silent = [np.zeros(own.shape) for own in hits]
        targets = [getattr(i, teacher) if both else none for i, both, none in zip(images, taught, silent, strict=True)]
        table = _stacked(targets, hits)
        speaks = (np.where(np.isinf(table), 0.0, table) != 0).any(1)  # where it says nothing, it is wrong
        right.append(expected_recall(table, stacked(hits, False), 1) * speaks)
    return np.where(np.repeat(taught, list(map(len, hits))), np.maximum(*right), np.nan)


def _stacked(scores: Sequence[np.ndarray | None], hits: Sequence[np.ndarray]) -> np.ndarray:
    """The images' scores or targets as one array, float64."""
    shaped = [np.reshape(np.asarray(s, np.float64), own.shape) for s, own in zip(scores, hits, strict=True)]
    return stacked([np.maximum(s, np.finfo(np.float64).min) for s in shaped], -np.inf)


def _mean(values: np.ndarray) -> float | None:
    return float(values.mean()) if len(values) else None
