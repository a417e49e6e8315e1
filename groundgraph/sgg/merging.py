"""Which boxes of a graph are of one thing, by their overlap and whether their labels agree, learnt on annotated images.

One NMS threshold for all boxes sees neither that a man and a boy in one place are one, nor a man who was found twice by
boxes that overlap less than it.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from groundgraph.data.boxes import box_iou
from groundgraph.data.types import Graph


@dataclass(frozen=True)
class Merging:
    """Two boxes are of one thing where bias + overlap x IoU + agreement x (their labels are the same) > 0.

    The defaults, for data without annotated boxes, are an IoU of .7, and of .4 with the same label.

    Attributes:
        bias: Of the logit.
        overlap: Weight of the IoU.
        agreement: Weight of equal labels.
    """

    bias: float = -14.0
    overlap: float = 20.0
    agreement: float = 6.0

    def merged(self, graph: Graph) -> Graph:
        """The graph with each thing once: of the boxes of one thing the one in the surest relation stays.

        The others' relations go with them. A model scores every pair of boxes, so what they would add to the one that
        stays is what it was less sure of, and more wrong than right (measured on MiniGenome).
        """
        count, pairs = len(graph.boxes), np.asarray(graph.pairs, np.int64).reshape(-1, 2)
        surest = np.asarray(graph.scores, np.float64) * 1e-6  # of two without a relation the surer object
        np.maximum.at(surest, pairs.ravel(), np.repeat(graph.relation_scores, 2))
        order = np.argsort(-surest, kind="stable")
        boxes, labels = graph.boxes[order], graph.labels[order]
        same = labels[:, None] == labels
        rivals = np.triu(self.bias + self.overlap * box_iou(boxes[:, None], boxes) + self.agreement * same > 0, 1)
        stays = np.ones(count, bool)
        # "Stays unless one that stays is better" has one solution; every round settles one more place of the ranking.
        while not np.array_equal(stays, settled := ~(rivals & stays[:, None]).any(0)):
            stays = settled
        kept = np.zeros(count, bool)
        kept[order[stays]] = True
        return graph.part(kept, np.all(kept[pairs], axis=1))

    def record(self) -> dict[str, Any]:
        """As JSON, of which `Merging(**record)` makes it again."""
        return asdict(self)


def fit_merging(overlap: np.ndarray, same: np.ndarray, one: np.ndarray) -> Merging:
    """Learn it by logistic regression; a slight ridge keeps it finite.

    Args:
        overlap: [M], the IoU of pairs of boxes.
        same: [M] bool, their labels are the same.
        one: [M] bool, both are of one true object.

    Returns:
        The defaults where all pairs are of one, or none is.
    """
    from scipy.optimize import minimize  # takes as long to import as a model to load

    if not np.any(one) or np.all(one):
        return Merging()
    inputs = np.column_stack([np.ones(len(one)), overlap, same])
    signs = np.where(one, 1.0, -1.0)

    def loss(weights: np.ndarray) -> tuple[float, np.ndarray]:
        margins = signs * (inputs @ weights)
        slopes = -signs / (1 + np.exp(np.clip(margins, -50, 50)))
        value = np.logaddexp(0, -margins).sum() + 1e-2 * (weights**2).sum()
        return float(value), inputs.T @ slopes + 2e-2 * weights

    return Merging(*map(float, minimize(loss, np.zeros(3), jac=True, method="L-BFGS-B").x))


def pairs_of_one(graph: Graph, true_boxes: np.ndarray) -> np.ndarray:
    """What `fit_merging` learns from in an image: pairs of the graph's boxes that overlap, both of some true object.

    A box is of the true object that it overlaps most, by IoU 0.5 or more.

    Args:
        graph: Found in the image.
        true_boxes: [G, 4], of the annotated objects.

    Returns:
        [M, 3] float64: IoU, whether the labels are the same, whether both are of one object.
    """
    if not len(graph.boxes) or not len(true_boxes):
        return np.zeros((0, 3))
    shares = box_iou(graph.boxes[:, None], np.asarray(true_boxes, np.float32))
    owner = np.where(shares.max(1) >= 0.5, shares.argmax(1), -1)
    first, second = np.triu_indices(len(owner), 1)
    overlap = box_iou(graph.boxes[first], graph.boxes[second])
    kept = (overlap > 0) & (owner[first] >= 0) & (owner[second] >= 0)
    same, one = (values[first] == values[second] for values in (graph.labels, owner))
    return np.column_stack([overlap, same, one])[kept].astype(np.float64)
