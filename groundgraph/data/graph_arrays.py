"""The graphs of many images as flat arrays: the images' rows lie one after the other, offsets say where one begins."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from groundgraph.data.types import Graph, GroundTruth


@dataclass(frozen=True)
class TruthArrays:
    """The true graphs of N images.

    Attributes:
        boxes: [G, 4] float32 xyxy in pixels.
        labels: [G] int64 in 1..C.
        relations: [R, 3] int64 (subject, object, predicate 1..P); boxes are counted within the image.
        box_offsets: [N + 1] int64.
        relation_offsets: [N + 1] int64.
    """

    boxes: np.ndarray
    labels: np.ndarray
    relations: np.ndarray
    box_offsets: np.ndarray
    relation_offsets: np.ndarray

    @property
    def images(self) -> int:
        """N."""
        return len(self.box_offsets) - 1


@dataclass(frozen=True)
class PredictionArrays:
    """The predicted graphs of N images.

    Attributes:
        boxes: [B, 4] float32 xyxy in pixels.
        labels: [B] int64 in 1..C; 0, the background, matches nothing.
        scores: [B] float32.
        pairs: [Q, 2] int64 (subject, object), counted within the image, best first.
        predicate_scores: [Q, 1 + P] float32; column 0 = background, -inf = this predicate is not predicted.
        box_offsets: [N + 1] int64.
        pair_offsets: [N + 1] int64.
        whole_scores: predicate_scores are those of whole triplets, so they rank without the objects' scores.
    """

    boxes: np.ndarray
    labels: np.ndarray
    scores: np.ndarray
    pairs: np.ndarray
    predicate_scores: np.ndarray
    box_offsets: np.ndarray
    pair_offsets: np.ndarray
    whole_scores: bool = False

    @property
    def images(self) -> int:
        """N."""
        return len(self.box_offsets) - 1


def truth_arrays(truths: Sequence[GroundTruth], categories: Sequence[str], predicates: Sequence[str]) -> TruthArrays:
    """Number the true graphs by the evaluation's vocabularies: name k is label k + 1.

    Args:
        truths: of N images.
        categories: a box of another is left out with its relations, as the published vocabularies do.
        predicates: a relation with another is left out.
    """
    category = {name: i + 1 for i, name in enumerate(categories)}
    predicate = {name: i + 1 for i, name in enumerate(predicates)}
    labels = [np.array([category.get(name, 0) for name in truth.labels], np.int64) for truth in truths]
    relations = []
    for truth, numbers in zip(truths, labels, strict=True):
        numbered = [(s, o, predicate.get(name, 0)) for s, name, o in truth.relations]
        rows = np.array(numbered, np.int64).reshape(-1, 3)
        rows = rows[(numbers[rows[:, 0]] > 0) & (numbers[rows[:, 1]] > 0) & (rows[:, 2] > 0)]
        place = np.cumsum(numbers > 0) - 1
        relations.append(np.column_stack([place[rows[:, 0]], place[rows[:, 1]], rows[:, 2]]))
    boxes = [np.reshape(t.boxes, (-1, 4))[n > 0] for t, n in zip(truths, labels, strict=True)]
    labels = [n[n > 0] for n in labels]
    return TruthArrays(
        boxes=joined(boxes, (0, 4), np.float32),
        labels=joined(labels, (0,), np.int64),
        relations=joined(relations, (0, 3), np.int64),
        box_offsets=offsets_of(labels),
        relation_offsets=offsets_of(relations),
    )


def prediction_arrays(graphs: Sequence[Graph]) -> PredictionArrays:
    """Lay predicted graphs one after the other."""
    columns = max((g.predicate_scores.shape[1] for g in graphs if len(g.pairs)), default=1)
    return PredictionArrays(
        boxes=joined([g.boxes for g in graphs], (0, 4), np.float32),
        labels=joined([g.labels for g in graphs], (0,), np.int64),
        scores=joined([g.scores for g in graphs], (0,), np.float32),
        pairs=joined([g.pairs for g in graphs], (0, 2), np.int64),
        predicate_scores=joined([g.predicate_scores for g in graphs if len(g.pairs)], (0, columns), np.float32),
        box_offsets=offsets_of([g.boxes for g in graphs]),
        pair_offsets=offsets_of([g.pairs for g in graphs]),
    )


def owners(offsets: np.ndarray) -> np.ndarray:
    """The image of each row."""
    return np.repeat(np.arange(len(offsets) - 1), np.diff(offsets))


def offsets_of(parts: Sequence[np.ndarray]) -> np.ndarray:
    """Where each part begins once they lie one after the other: [len(parts) + 1] int64."""
    return np.concatenate([[0], np.cumsum([len(part) for part in parts])]).astype(np.int64)


def joined(parts: Sequence[np.ndarray], empty: tuple[int, ...], dtype: type) -> np.ndarray:
    """The parts one after the other; `empty` is the shape of none."""
    return np.concatenate([np.zeros(empty, dtype), *(np.asarray(p, dtype).reshape(-1, *empty[1:]) for p in parts)])
