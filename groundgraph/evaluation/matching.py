"""Which true relations do ranked predictions match, and at which rank? For all images at once.

Nothing loops over images, relations or pairs. Predictions and truth are joined by sorting on their labels, so that
boxes are compared only where all three labels agree.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from groundgraph.data.boxes import box_iou
from groundgraph.data.graph_arrays import PredictionArrays, TruthArrays, owners
from groundgraph.errors import InputError

UNMATCHED = np.iinfo(np.int64).max
_CELLS = 8_000_000  # (pair, predicate) scores ranked together


class Candidates(NamedTuple):
    """Predicted triplets, ranked.

    Attributes:
        rows: [M] int64, the pair's row among all images' pairs.
        predicates: [M] int64 in 1..P.
        ranks: [M] int64, the place within the image, from 0.
    """

    rows: np.ndarray
    predicates: np.ndarray
    ranks: np.ndarray


def constrained(predictions: PredictionArrays, depth: int) -> Candidates:
    """One predicate a pair, its best (of equals the first): what R, mR and zR rank.

    Args:
        predictions: the predicted graphs of N images.
        depth: how many pairs of each image are taken, in their order.

    Returns:
        The candidates, image by image.
    """
    image = owners(predictions.pair_offsets)
    rank = np.arange(len(image)) - predictions.pair_offsets[image]
    rows = np.flatnonzero(rank < depth)
    scores = predictions.predicate_scores[rows, 1:]
    if not scores.size:
        return _no_candidates()
    best = scores.argmax(1)
    predicted = scores[np.arange(len(rows)), best] > -np.inf
    return Candidates(rows[predicted], best[predicted] + 1, rank[rows[predicted]])


def unconstrained(predictions: PredictionArrays, depth: int) -> Candidates:
    """Every predicate of a pair counts: what ngR, ngmR and ngzR rank.

    Ranked by subject score x object score x predicate score in float32; of equals the earlier pair, then the smaller
    predicate comes first. A score of -inf is no prediction.

    Args:
        predictions: the predicted graphs of N images.
        depth: how many (pair, predicate) of each image are taken, the best.

    Returns:
        The candidates, image by image, best first.
    """
    offsets, width = predictions.pair_offsets, predictions.predicate_scores.shape[1] - 1
    lengths = np.diff(offsets)
    parts = []
    start = 0
    while start < len(lengths) and width > 0:
        # As many images as fit together, padded to the longest of them.
        longest = np.maximum.accumulate(lengths[start:])
        stop = start + max(1, int(np.searchsorted(longest * np.arange(1, len(longest) + 1), _CELLS // width)))
        if longest[stop - start - 1]:
            parts.append(_ranked(predictions, start, stop, depth))
        start = stop
    return Candidates(*(np.concatenate(part) for part in zip(*parts, strict=True))) if parts else _no_candidates()


def _no_candidates() -> Candidates:
    return Candidates(*(np.zeros(0, np.int64) for _ in range(3)))


def _ranked(predictions: PredictionArrays, start: int, stop: int, depth: int) -> Candidates:
    """`unconstrained` for images start..stop, few enough for memory."""
    offsets = predictions.pair_offsets
    rows = np.arange(offsets[start], offsets[stop])
    image = owners(offsets[start : stop + 1])
    scores = predictions.predicate_scores[rows[0] : rows[-1] + 1, 1:]
    if not predictions.whole_scores:
        ends = predictions.box_offsets[start + image][:, None] + predictions.pairs[rows]
        both = predictions.scores[ends].prod(1)[:, None]
        predicted = scores > -np.inf  # 0 x -inf is not a number, but still no prediction
        scores = np.multiply(both, scores, out=np.full_like(scores, -np.inf), where=predicted)
    # The best `depth` lie in the `depth` pairs with the best predicates. Whatever equals the last place stays in, so
    # that ties are broken by the order below, not by chance.
    best = scores.max(1)
    pairs = np.flatnonzero(best >= _border(best, image, stop - start, depth)[image])
    width = scores.shape[1]
    image, values = np.repeat(image[pairs], width), scores[pairs].ravel()
    kept = np.flatnonzero((values >= _border(values, image, stop - start, depth)[image]) & (values > -np.inf))
    kept = kept[np.lexsort((-values[kept], image[kept]))]
    rank = np.arange(len(kept)) - np.searchsorted(image[kept], np.arange(stop - start))[image[kept]]
    kept, rank = kept[rank < depth], rank[rank < depth]
    return Candidates(rows[pairs[kept // width]], kept % width + 1, rank)


def _border(values: np.ndarray, image: np.ndarray, images: int, depth: int) -> np.ndarray:
    """The `depth`-th best value of each image, -inf where it has fewer: values [M], image [M] ascending -> [images]."""
    begins = np.searchsorted(image, np.arange(images + 1))
    longest = int(np.diff(begins).max(initial=0))
    if longest <= depth:
        return np.full(images, -np.inf, values.dtype)
    table = np.full((images, longest), -np.inf, values.dtype)
    table[image, np.arange(len(image)) - begins[image]] = values
    return np.partition(table, longest - depth, axis=1)[:, longest - depth]


def triplet_labels(truth: TruthArrays) -> np.ndarray:
    """(subject label, object label, predicate) of the true relations: [R, 3]."""
    ends = truth.box_offsets[owners(truth.relation_offsets)][:, None] + truth.relations[:, :2]
    return np.column_stack([truth.labels[ends], truth.relations[:, 2]])


def first_matches(
    truth: TruthArrays, predictions: PredictionArrays, candidates: Candidates, phrase: bool = False
) -> np.ndarray:
    """Which candidate is the first to match each true relation?

    A match has the same three labels, and IoU >= 0.5 for the subject's and for the object's box; with `phrase`, for
    the one box around both. A candidate may match several relations.

    Args:
        truth: the true graphs of N images.
        predictions: the predicted graphs of the same images.
        candidates: what is ranked of the predictions.
        phrase: whether boxes match by the one box around subject and object.

    Returns:
        [R] int64, the candidate's rank, or UNMATCHED.
    """
    first = np.full(len(truth.relations), UNMATCHED, np.int64)
    relation, candidate, overlap = _overlapping(truth, predictions, candidates, phrase)
    matched = overlap >= 0.5
    np.minimum.at(first, relation[matched], candidates.ranks[candidate[matched]])
    return first


def one_to_one_matches(
    truth: TruthArrays, predictions: PredictionArrays, candidates: Candidates, phrase: bool = False
) -> np.ndarray:
    """Which candidate takes each true relation, where none takes two?

    The candidates choose one after the other, best first: of the relations that match (see `first_matches`) and are
    still free, each takes the one whose less overlapped box it overlaps most, of equals the first. The arguments and
    what is returned are those of `first_matches`. Source: the evaluator of Lu et al. (ECCV 2016).
    """
    taken = np.full(len(truth.relations), UNMATCHED, np.int64)
    relation, candidate, overlap = _overlapping(truth, predictions, candidates, phrase)
    order = np.lexsort((relation, -overlap, candidates.ranks[candidate]))
    order = order[overlap[order] >= 0.5]
    relation, candidate = relation[order], candidate[order]
    # What is first among its relation's and among its candidate's matches is chosen, whatever else is: a round chooses
    # all such, of all images, and what is left is as many rounds as chains of rivals are long.
    while len(relation):
        chosen = np.intersect1d(*(np.unique(side, return_index=True)[1] for side in (relation, candidate)))
        taken[relation[chosen]] = candidates.ranks[candidate[chosen]]
        free = ~(np.isin(relation, relation[chosen]) | np.isin(candidate, candidate[chosen]))
        relation, candidate = relation[free], candidate[free]
    return taken


def _overlapping(
    truth: TruthArrays, predictions: PredictionArrays, candidates: Candidates, phrase: bool
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """All (relation, candidate) of one image and the same three labels, and the IoU of the worse of their boxes."""
    image = owners(predictions.pair_offsets)[candidates.rows]
    ends = predictions.box_offsets[image][:, None] + predictions.pairs[candidates.rows]
    true_image = owners(truth.relation_offsets)
    true_ends = truth.box_offsets[true_image][:, None] + truth.relations[:, :2]
    relation, candidate = join(
        np.column_stack([true_image, triplet_labels(truth)]),
        np.column_stack([image, predictions.labels[ends], candidates.predicates]),
    )
    true_boxes, boxes = truth.boxes[true_ends[relation]], predictions.boxes[ends[candidate]]
    if phrase:
        true_boxes, boxes = _around(true_boxes), _around(boxes)
    return relation, candidate, box_iou(true_boxes, boxes, inclusive=True).min(1)


def join(left: np.ndarray, right: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """All pairs of equal rows, as a database joins two tables.

    Args:
        left: [L, k] whole numbers >= 0.
        right: [M, k], likewise.

    Returns:
        The rows of left and of right, two [J] int64, in the order of `right`, then of `left`.

    Raises:
        InputError: where the numbers are too large to be told apart in 63 bits.
    """
    if not len(left) or not len(right):
        return np.zeros(0, np.int64), np.zeros(0, np.int64)
    sizes = [int(max(a, b)) + 1 for a, b in zip(left.max(0), right.max(0), strict=True)]
    steps = [1]
    for size in sizes[:0:-1]:
        steps.insert(0, steps[0] * size)
    if steps[0] * sizes[0] >= 2**63:
        raise InputError(f"labels up to {max(sizes[1:]) - 1} are too large; number categories and predicates from 1")
    strides = np.array(steps, np.int64)
    left_keys, right_keys = left @ strides, right @ strides
    order = np.argsort(left_keys, kind="stable")
    left_keys = left_keys[order]
    low, high = np.searchsorted(left_keys, right_keys, "left"), np.searchsorted(left_keys, right_keys, "right")
    counts = high - low
    row = np.repeat(np.arange(len(right)), counts)
    within = np.arange(len(row)) - np.repeat(np.cumsum(counts) - counts, counts)
    return order[low[row] + within], row


def _around(boxes: np.ndarray) -> np.ndarray:
    """The box around subject and object: [J, 2, 4] -> [J, 1, 4]."""
    return np.concatenate([boxes[..., :2].min(1), boxes[..., 2:].max(1)], -1)[:, None]
