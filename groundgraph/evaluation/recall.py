"""Recall of triplets, after Scene-Graph-Benchmark's conventions, for all images at once.

The images' rows lie one after the other and offsets [N + 1] say where an image begins, so that nothing loops over
images, relations or pairs. Every figure is read from one array: for each true relation, the rank of the first
prediction that matches it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from groundgraph.data.types import Graph, GroundTruth

_NEVER = np.iinfo(np.int64).max
_CHUNK = 256  # images ranked together where every (pair, predicate) counts: about 50 MB at VG150's sizes


@dataclass(frozen=True)
class TruthArrays:
    """The true graphs of N images.

    boxes [G, 4] float32 xyxy in pixels, labels [G] in 1..C, relations [R, 3] (subject, object, predicate 1..P; boxes
    are counted within the image), box_offsets [N + 1], relation_offsets [N + 1].
    """

    boxes: np.ndarray
    labels: np.ndarray
    relations: np.ndarray
    box_offsets: np.ndarray
    relation_offsets: np.ndarray


@dataclass(frozen=True)
class PredictionArrays:
    """The predicted graphs of N images.

    boxes [B, 4] float32 xyxy in pixels, labels [B] in 1..C, scores [B], pairs [Q, 2] (subject, object, counted within
    the image, best first), predicate_scores [Q, 1 + P] (column 0 = background), box_offsets [N + 1],
    pair_offsets [N + 1].
    """

    boxes: np.ndarray
    labels: np.ndarray
    scores: np.ndarray
    pairs: np.ndarray
    predicate_scores: np.ndarray
    box_offsets: np.ndarray
    pair_offsets: np.ndarray


def truth_arrays(truths: Sequence[GroundTruth], categories: Sequence[str], predicates: Sequence[str]) -> TruthArrays:
    """Number the true graphs by the evaluation's vocabularies: name k is label k + 1.

    A box whose category is not in `categories` is left out with its relations, and so is a relation whose predicate is
    not in `predicates`, as the published vocabularies do.
    """
    category = {name: i + 1 for i, name in enumerate(categories)}
    predicate = {name: i + 1 for i, name in enumerate(predicates)}
    labels = [np.array([category.get(name, 0) for name in truth.labels], np.int64) for truth in truths]
    relations = []
    for truth, numbers in zip(truths, labels, strict=True):
        rows = [(s, o, predicate.get(name, 0)) for s, name, o in truth.relations]
        rows = np.array(rows, np.int64).reshape(-1, 3)
        known = (numbers[rows[:, 0]] > 0) & (numbers[rows[:, 1]] > 0) & (rows[:, 2] > 0)
        place = np.cumsum(numbers > 0) - 1
        relations.append(np.column_stack([place[rows[known, 0]], place[rows[known, 1]], rows[known, 2]]))
    boxes = [np.reshape(t.boxes, (-1, 4))[n > 0] for t, n in zip(truths, labels, strict=True)]
    labels = [n[n > 0] for n in labels]
    return TruthArrays(
        boxes=_joined(boxes, (0, 4), np.float32),
        labels=_joined(labels, (0,), np.int64),
        relations=_joined(relations, (0, 3), np.int64),
        box_offsets=_offsets(labels),
        relation_offsets=_offsets(relations),
    )


def prediction_arrays(graphs: Sequence[Graph]) -> PredictionArrays:
    """Lay predicted graphs one after the other."""
    columns = max((g.predicate_scores.shape[1] for g in graphs if len(g.pairs)), default=1)
    return PredictionArrays(
        boxes=_joined([g.boxes for g in graphs], (0, 4), np.float32),
        labels=_joined([g.labels for g in graphs], (0,), np.int64),
        scores=_joined([g.scores for g in graphs], (0,), np.float32),
        pairs=_joined([g.pairs for g in graphs], (0, 2), np.int64),
        predicate_scores=_joined([g.predicate_scores for g in graphs if len(g.pairs)], (0, columns), np.float32),
        box_offsets=_offsets([g.boxes for g in graphs]),
        pair_offsets=_offsets([g.pairs for g in graphs]),
    )


def sgdet_recall(
    truth: TruthArrays,
    predictions: PredictionArrays,
    ks: Sequence[int] = (20, 50, 100),
    convention: Literal["default", "sgb"] = "default",
    zeroshot: np.ndarray | None = None,
    predicates: int | None = None,
) -> dict[str, float]:
    """Recall@K as fractions of 1: "R@K", "ngR@K", "mR@K", "ngmR@K", and "zR@K", "ngzR@K" where `zeroshot` is given.

    truth, predictions  of the same N images
    convention          an image without a predicted pair counts 0 ("default") or is skipped ("sgb": as that evaluator)
    zeroshot            [Z, 3] (subject label, object label, predicate) that training never saw
    predicates          P, over which mR is averaged; None: as many as the predictions have

    A prediction matches where its three labels are right and both boxes have IoU >= 0.5 with theirs (sides are
    inclusive pixels, float32). "R": a pair has one predicate, its best; pairs keep their order. "ng": every (pair,
    predicate), ranked by subject score x object score x predicate score. An image's recall is the share of its true
    relations that are matched among the first K; images without true relations do not count. "mR": each predicate's
    mean over the images that have it, then the mean over all P, a predicate that never occurs counting 0. Where
    nothing counts the figure is 0.
    Raises ValueError where the two do not cover equally many images. Source: Scene-Graph-Benchmark's evaluator.
    """
    images = len(truth.box_offsets) - 1
    if len(predictions.box_offsets) - 1 != images:
        raise ValueError(f"{images} images have ground truth but {len(predictions.box_offsets) - 1} have predictions")
    if convention not in ("default", "sgb"):
        raise ValueError(f'unknown convention "{convention}": use "default" or "sgb"')
    image_of = _owners(truth.relation_offsets)
    counted = np.ones(len(image_of), bool)
    if convention == "sgb":
        counted = np.diff(predictions.pair_offsets)[image_of] > 0
    predicates = predictions.predicate_scores.shape[1] - 1 if predicates is None else predicates
    labels = _triplet_labels(truth)
    unseen = None if zeroshot is None else counted & _rows_in(labels, zeroshot)

    figures = {}
    for prefix, candidates in (("", _constrained), ("ng", _unconstrained)):
        first = _first_match(truth, predictions, labels, *candidates(predictions, max(ks)))
        for k in ks:
            found = first < k
            figures[f"{prefix}R@{k}"] = _mean_of_images(found, image_of, counted)
            figures[f"{prefix}mR@{k}"] = _mean_of_predicates(found, image_of, labels[:, 2], counted, predicates)
            if unseen is not None:
                figures[f"{prefix}zR@{k}"] = _mean_of_images(found, image_of, unseen)
    return figures


def _constrained(predictions: PredictionArrays, depth: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """One predicate a pair: (row of the pair, predicate, rank within the image) of the first `depth` pairs."""
    image_of = _owners(predictions.pair_offsets)
    rank = np.arange(len(image_of)) - predictions.pair_offsets[image_of]
    rows = np.flatnonzero(rank < depth)
    scores = predictions.predicate_scores[rows, 1:]
    best = scores.argmax(1) + 1 if scores.size else np.zeros(len(rows), np.int64)
    return rows, best, rank[rows]


def _unconstrained(predictions: PredictionArrays, depth: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Every predicate of a pair counts: (row of the pair, predicate, rank within the image) of the best `depth`."""
    offsets, width = predictions.pair_offsets, predictions.predicate_scores.shape[1] - 1
    image_of = _owners(offsets)
    ends = predictions.box_offsets[image_of][:, None] + predictions.pairs
    both = predictions.scores[ends].prod(1) if len(ends) else np.zeros(0, np.float32)
    rows, labels, ranks = [], [], []
    for start in range(0, len(offsets) - 1, _CHUNK):
        stop = min(start + _CHUNK, len(offsets) - 1)
        here = slice(offsets[start], offsets[stop])
        longest = int(np.diff(offsets[start : stop + 1]).max(initial=0))
        if not longest or not width:
            continue
        scores = np.full((stop - start, longest, width), -np.inf, np.float32)
        place = np.arange(here.start, here.stop) - offsets[image_of[here]]
        scores[image_of[here] - start, place] = both[here, None] * predictions.predicate_scores[here, 1:]
        scores = scores.reshape(stop - start, -1)
        kept = min(depth, scores.shape[1])
        best = np.sort(np.argpartition(-scores, kept - 1, axis=1)[:, :kept], axis=1)
        values = np.take_along_axis(scores, best, 1)
        order = np.argsort(-values, axis=1, kind="stable")
        best, real = np.take_along_axis(best, order, 1), np.take_along_axis(values, order, 1) > -np.inf
        rows.append((offsets[start:stop, None] + best // width)[real])
        labels.append((best % width + 1)[real])
        ranks.append(np.broadcast_to(np.arange(kept), best.shape)[real])
    return tuple(_joined(part, (0,), np.int64) for part in (rows, labels, ranks))


def _first_match(
    truth: TruthArrays,
    predictions: PredictionArrays,
    labels: np.ndarray,
    rows: np.ndarray,
    predicted: np.ndarray,
    ranks: np.ndarray,
) -> np.ndarray:
    """For each true relation the rank of the first candidate that matches it, or a number beyond every K: [R]."""
    first = np.full(len(truth.relations), _NEVER, np.int64)
    if not len(rows) or not len(first):
        return first
    owner = _owners(predictions.pair_offsets)[rows]
    ends = predictions.box_offsets[owner][:, None] + predictions.pairs[rows]
    candidates = np.column_stack([owner, predictions.labels[ends], predicted])
    wanted = np.column_stack([_owners(truth.relation_offsets), labels])
    # Equal labels in the same image are joined by sorting, so that boxes are compared only where the labels agree.
    _, keys = np.unique(np.concatenate([wanted, candidates]), axis=0, return_inverse=True)
    keys = keys.reshape(-1)
    order = np.argsort(keys[: len(wanted)], kind="stable")
    sorted_keys, keys = keys[: len(wanted)][order], keys[len(wanted) :]
    low, high = np.searchsorted(sorted_keys, keys, "left"), np.searchsorted(sorted_keys, keys, "right")
    candidate = np.repeat(np.arange(len(keys)), high - low)
    within = np.arange(len(candidate)) - np.repeat(np.cumsum(high - low) - (high - low), high - low)
    relation = order[low[candidate] + within]

    true_ends = truth.box_offsets[_owners(truth.relation_offsets)][:, None] + truth.relations[:, :2]
    overlap = _iou(truth.boxes[true_ends[relation]], predictions.boxes[ends[candidate]])
    matched = (overlap >= 0.5).all(1)
    np.minimum.at(first, relation[matched], ranks[candidate[matched]])
    return first


def _iou(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """IoU [...] of boxes [..., 4] row by row, in float32, sides being inclusive pixels (x2 - x1 + 1)."""
    first, second, one = first.astype(np.float32), second.astype(np.float32), np.float32(1)
    sides = np.minimum(first[..., 2:], second[..., 2:]) - np.maximum(first[..., :2], second[..., :2]) + one
    shared = np.clip(sides, 0, None).prod(-1)
    areas = [(box[..., 2:] - box[..., :2] + one).prod(-1) for box in (first, second)]
    return shared / (areas[0] + areas[1] - shared)


def _mean_of_images(found: np.ndarray, image_of: np.ndarray, counted: np.ndarray) -> float:
    """Mean over the images that have a counted relation of the share of these that is found."""
    if not counted.any():
        return 0.0
    _, image = np.unique(image_of[counted], return_inverse=True)
    return float(np.mean(np.bincount(image, found[counted]) / np.bincount(image)))


def _mean_of_predicates(
    found: np.ndarray, image_of: np.ndarray, labels: np.ndarray, counted: np.ndarray, predicates: int
) -> float:
    """Each predicate's recall an image, averaged over its images, then over all predicates."""
    if not counted.any() or not predicates:
        return 0.0
    groups, group = np.unique(np.column_stack([labels, image_of])[counted], axis=0, return_inverse=True)
    group = group.reshape(-1)
    recall = np.bincount(group, found[counted]) / np.bincount(group)
    _, begins = np.unique(groups[:, 0], return_index=True)
    return float(sum(np.mean(part) for part in np.split(recall, begins[1:])) / predicates)


def _triplet_labels(truth: TruthArrays) -> np.ndarray:
    """(subject label, object label, predicate) of the true relations: [R, 3]."""
    ends = truth.box_offsets[_owners(truth.relation_offsets)][:, None] + truth.relations[:, :2]
    return np.column_stack([truth.labels[ends], truth.relations[:, 2]])


def _rows_in(rows: np.ndarray, known: np.ndarray) -> np.ndarray:
    """Which rows [R, 3] occur in known [Z, 3]: [R] bool."""
    _, keys = np.unique(np.concatenate([rows, np.reshape(known, (-1, 3))]), axis=0, return_inverse=True)
    keys = keys.reshape(-1)
    return np.isin(keys[: len(rows)], keys[len(rows) :])


def _owners(offsets: np.ndarray) -> np.ndarray:
    """The image of each row."""
    return np.repeat(np.arange(len(offsets) - 1), np.diff(offsets))


def _offsets(parts: Sequence[np.ndarray]) -> np.ndarray:
    return np.concatenate([[0], np.cumsum([len(part) for part in parts])]).astype(np.int64)


def _joined(parts: Sequence[np.ndarray], empty: tuple[int, ...], dtype: type) -> np.ndarray:
    return np.concatenate([np.zeros(empty, dtype), *(np.asarray(p, dtype).reshape(-1, *empty[1:]) for p in parts)])
