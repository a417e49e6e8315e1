"""How good pseudo labels are where the truth is known, and the bounds that no grounder passes (METHOD.md section 6)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from groundgraph.evaluation.grounding import expected_recall, region_hits


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
    for image in images:
        measured = np.array([len(b) > 0 for b in image.true_boxes], bool)
        hits = region_hits(image.boxes, image.true_boxes)
        scores = np.asarray(image.scores, np.float64).reshape(hits.shape)
        best = expected_recall(scores, hits, 1)
        teachers = np.full(len(measured), np.nan)
        if image.object is not None and image.interaction is not None:
            teachers = np.maximum(*(_right(t, hits) for t in (image.object, image.interaction)))
        rows = np.column_stack([best, expected_recall(scores, hits, 3), hits.any(1), teachers])
        entities.append(rows[measured])
        ends = np.reshape(image.triplets, (-1, 2)).astype(np.int64)
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


def _right(target: np.ndarray, hits: np.ndarray) -> np.ndarray:
    """Chance that a teacher's best region is right, [E]; where it says nothing, 0."""
    target = np.asarray(target, np.float64).reshape(hits.shape)
    return expected_recall(target, hits, 1) * target.any(1)


def _mean(values: np.ndarray) -> float | None:
    return float(values.mean()) if len(values) else None
