"""Mean average precision of a graph's objects at IoU 0.5 (METHOD.md section 6), as COCO counts it, for all at once.

As everywhere in this evaluation box sides are inclusive pixels (x2 - x1 + 1): Scene-Graph-Benchmark hands its boxes to
pycocotools that way, and the published mAPs of scene-graph models are that evaluator's.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from groundgraph.data.types import Graph, GroundTruth
from groundgraph.evaluation.arrays import PredictionArrays, TruthArrays, owners, prediction_arrays, truth_arrays
from groundgraph.evaluation.matching import join

_POINTS = np.linspace(0, 1, 101)  # COCO's recall levels


@dataclass(frozen=True)
class MatchedBoxes:
    """Predicted boxes, best first within their label, and which of them found a true box.

    labels [L] those of the truth, ascending; counts [L] its boxes of each; hits [B] bool; offsets [L + 1] where a
    label's predicted boxes begin.
    """

    labels: np.ndarray
    offsets: np.ndarray
    hits: np.ndarray
    counts: np.ndarray

    def precisions(self) -> np.ndarray:
        """Average precision of each label: [L] float64."""
        ends = zip(self.offsets[:-1], self.offsets[1:], self.counts, strict=True)
        return np.array([_interpolated(self.hits[a:b], int(true)) for a, b, true in ends])

    def mean(self) -> float:
        """mAP50: the mean over the labels, 0 where the truth has none."""
        return float(self.precisions().mean()) if len(self.labels) else 0.0


def matched_boxes(truth: TruthArrays, predictions: PredictionArrays) -> MatchedBoxes:
    """Give true boxes to predicted boxes of their label: the best score chooses first, among boxes of IoU >= 0.5.

    A predicted box takes the true one it overlaps most that is still free. Boxes with labels outside the truth are left
    out. Raises ValueError where the two do not cover equally many images.
    """
    if predictions.images != truth.images:
        raise ValueError(f"{truth.images} images have ground truth but {predictions.images} have predictions")
    labels, counts = np.unique(truth.labels, return_counts=True)
    true_image, image = owners(truth.box_offsets), owners(predictions.box_offsets)
    order = np.lexsort((-predictions.scores, predictions.labels))
    order = order[np.isin(predictions.labels[order], labels)]
    boxes, image, label = predictions.boxes[order], image[order], predictions.labels[order]
    hits = _hits(np.column_stack([true_image, truth.labels]), truth.boxes, np.column_stack([image, label]), boxes)
    offsets = np.append(np.searchsorted(label, labels), len(label))
    return MatchedBoxes(labels, offsets, hits, counts)


def detection_map(
    truths: Sequence[GroundTruth], graphs: Sequence[Graph], categories: Sequence[str]
) -> tuple[float, dict[str, float]]:
    """mAP50 of the graphs' boxes as a fraction of 1, and the average precision of each category.

    A category that never occurs in the truth is left out of both; true boxes of other categories are left out too.
    Graph label k means categories[k - 1]. Without any true box the mean is 0. Equal to pycocotools on boxes
    (x1, y1, x2 - x1 + 1, y2 - y1 + 1). Raises ValueError where truths and graphs do not cover equally many images.
    """
    matched = matched_boxes(truth_arrays(truths, categories, ()), prediction_arrays(graphs))
    parts = dict(zip((categories[k - 1] for k in matched.labels), matched.precisions().tolist(), strict=True))
    return matched.mean(), parts


def _hits(true_keys: np.ndarray, true_boxes: np.ndarray, keys: np.ndarray, boxes: np.ndarray) -> np.ndarray:
    """Which boxes, best first, find a true box; both may only meet where their keys (image, label) agree: [B] bool."""
    hits = np.zeros(len(boxes), bool)
    true, box = join(true_keys, keys)
    overlap = _overlap(true_boxes[true], boxes[box])
    near = overlap >= 0.5
    true, box, overlap = true[near], box[near], overlap[near]
    order = np.lexsort((true, overlap, box))  # of equal overlaps the last counts, as with COCO
    true, box = true[order], box[order]
    # Whoever wants a true box that nobody better could still take, gets it; the rest choose again.
    while len(box):
        best = np.full(len(true_boxes), len(boxes))
        np.minimum.at(best, true, box)
        last = np.append(box[1:] != box[:-1], True)
        takes = last & (best[true] == box)
        hits[box[takes]] = True
        gone = np.zeros(len(true_boxes), bool)
        gone[true[takes]] = True
        left = ~(gone[true] | hits[box])
        true, box = true[left], box[left]
    return hits


def _overlap(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """IoU [J] of boxes [J, 4] row by row, in float64 as COCO's, sides being inclusive pixels."""
    first, second = first.astype(np.float64), second.astype(np.float64)
    sides = np.minimum(first[:, 2:], second[:, 2:]) - np.maximum(first[:, :2], second[:, :2]) + 1
    shared = np.clip(sides, 0, None).prod(1)
    areas = [(box[:, 2:] - box[:, :2] + 1).prod(1) for box in (first, second)]
    return shared / np.maximum(areas[0] + areas[1] - shared, 1e-12)


def _interpolated(hits: np.ndarray, true: int) -> float:
    """Mean precision at COCO's 101 recalls of boxes [B] bool, best first, where `true` > 0 could be found.

    At a recall, the best precision at that recall or a higher one counts, 0 where it is never reached.
    """
    found = np.cumsum(hits)
    precision = found / np.arange(1, len(hits) + 1)
    best = np.append(np.maximum.accumulate(precision[::-1])[::-1], 0)
    return float(best[np.searchsorted(found / true, _POINTS)].mean())
