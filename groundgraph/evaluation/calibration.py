"""Do graphs' scores mean what they say? Which predictions are right, calibration error, precision at a score."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np

from groundgraph.data.graph_arrays import PredictionArrays, TruthArrays, owners
from groundgraph.errors import InputError
from groundgraph.evaluation.matching import UNMATCHED, constrained, one_to_one_matches

BINS = 15
BEST = 10  # relations of an image that a picture shows


class ReliabilityBins(NamedTuple):
    """Predictions in bins of equally wide scores; of an empty bin the means are nan.

    Attributes:
        counts: [B] int64, predictions in it.
        scores: [B] float64, their mean score.
        right: [B] float64, the share of them that is right.
    """

    counts: np.ndarray
    scores: np.ndarray
    right: np.ndarray


def right_predictions(truth: TruthArrays, predictions: PredictionArrays) -> np.ndarray:
    """Which predicted relations are right, each by the best predicate of its pair.

    A prediction is right where its three labels are those of a true relation and both boxes have IoU >= 0.5 with
    theirs; a true relation makes one prediction right, the first, so that a thing found twice is wrong once.

    Args:
        truth: The true graphs of N images.
        predictions: The predicted graphs of the same images.

    Returns:
        [Q] bool, in the order of all images' pairs.

    Raises:
        InputError: The two do not cover equally many images.
    """
    if predictions.images != truth.images:
        raise InputError(f"{truth.images} images have ground truth but {predictions.images} have predictions")
    right = np.zeros(len(predictions.pairs), bool)
    depth = int(np.diff(predictions.pair_offsets).max(initial=0))
    ranks = one_to_one_matches(truth, predictions, constrained(predictions, depth))
    matched = ranks != UNMATCHED
    right[predictions.pair_offsets[owners(truth.relation_offsets)[matched]] + ranks[matched]] = True
    return right


def related_predictions(truth: TruthArrays, predictions: PredictionArrays) -> np.ndarray:
    """Which predicted relations are of two boxes that are related, whatever the names: as `right_predictions`."""
    names = np.zeros((len(predictions.pairs), 2), np.float32)
    names[:, 1] = 1
    relations = truth.relations.copy()
    relations[:, 2] = 1
    return right_predictions(
        replace(truth, labels=np.ones_like(truth.labels), relations=relations),
        replace(predictions, labels=np.ones_like(predictions.labels), predicate_scores=names),
    )


def named_predictions(relations: np.ndarray, predictions: PredictionArrays) -> tuple[np.ndarray, np.ndarray]:
    """Which predicted relations somebody says of the image, and of which somebody relates things of these names.

    Where things are is not asked. Each relation counts by the best predicate of its pair; of several by the same names
    the first counts, as nobody says how often something is so.

    Args:
        relations: [S, 4] (image, subject's label, object's label, predicate in 1..P), what is said.
        predictions: The predicted graphs.

    Returns:
        [Q] bool, its three names are said; [Q] bool, its two things' names are, with any predicate.
    """
    if not len(predictions.pairs):
        return np.zeros(0, bool), np.zeros(0, bool)
    image = owners(predictions.pair_offsets)
    ends = predictions.labels[predictions.box_offsets[image][:, None] + predictions.pairs]
    keys = np.column_stack([image, ends, 1 + predictions.predicate_scores[:, 1:].argmax(1)])
    right, related = (_first_among(keys[:, :width], relations[:, :width]) for width in (4, 3))
    return right, related


def _first_among(keys: np.ndarray, among: np.ndarray) -> np.ndarray:
    """Which rows [Q, k] are the first of their kind, and of a kind that is among others [S, k]: [Q] bool."""
    _, place = np.unique(np.concatenate([keys, among]), axis=0, return_inverse=True)
    place = place.reshape(-1)
    first = np.zeros(len(keys), bool)
    first[np.unique(place[: len(keys)], return_index=True)[1]] = True
    return first & np.isin(place[: len(keys)], place[len(keys) :])


def reliability_bins(scores: np.ndarray, right: np.ndarray, bins: int = BINS) -> ReliabilityBins:
    """Predictions in `bins` bins of their scores: [Q] in 0..1 and [Q] bool -> what a reliability diagram shows."""
    scores = np.asarray(scores, np.float64)
    place = np.minimum((scores * bins).astype(np.int64), bins - 1)
    counts = np.bincount(place, minlength=bins)
    sums = (np.bincount(place, values, bins) for values in (scores, np.asarray(right, np.float64)))
    means = (np.divide(total, counts, out=np.full(bins, np.nan), where=counts > 0) for total in sums)
    return ReliabilityBins(counts, *means)


def expected_calibration_error(scores: np.ndarray, right: np.ndarray, bins: int = BINS) -> float | None:
    """The mean distance of score and share of right ones over the bins, weighted by their predictions.

    Args:
        scores: [Q] in 0..1.
        right: [Q] bool.
        bins: Of equal width.

    Returns:
        A fraction of 1; None without a prediction. Source: Naeini et al. 2015, Guo et al. 2017 (15 bins).
    """
    if not len(scores):
        return None
    counts, mean, share = reliability_bins(scores, right, bins)
    filled = counts > 0
    return float((counts[filled] * abs(mean[filled] - share[filled])).sum() / counts.sum())


def threshold_figures(
    scores: np.ndarray, right: np.ndarray, threshold: float, relations: int | None, images: int
) -> dict[str, float | None]:
    """Precision, recall and F1 of the predictions that score at least a threshold, and how many an image has.

    Args:
        scores: [Q] in 0..1.
        right: [Q] bool.
        threshold: Of the scores.
        relations: How many true ones there are; None: nobody knows.
        images: How many images.

    Returns:
        {"precision", "recall", "F1": fractions of 1, None of nothing; "an image": relations kept, a mean}.
    """
    kept = np.asarray(scores) >= threshold
    hits, count = float(right[kept].sum()), int(kept.sum())
    both = 0 if relations is None else count + relations
    return {
        "precision": hits / count if count else None,
        "recall": hits / relations if relations else None,
        "F1": 2 * hits / both if both else None,
        "an image": count / images if images else None,
    }


def calibration_figures(
    truth: TruthArrays, predictions: PredictionArrays, scores: np.ndarray, raw: np.ndarray, min_score: float
) -> dict[str, Any]:
    """What calibrated scores are worth on measured images.

    Args:
        truth: The true graphs of N images.
        predictions: The predicted graphs of the same images.
        scores: [Q], the calibrated scores of all images' pairs.
        raw: [Q], what they were before.
        min_score: What is shown by default has at least this score.

    Returns:
        See `score_figures`.
    """
    right = right_predictions(truth, predictions)
    return score_figures(right, predictions.pair_offsets, scores, raw, min_score, len(truth.relations))


def score_figures(
    right: np.ndarray,
    offsets: np.ndarray,
    scores: np.ndarray,
    raw: np.ndarray,
    min_score: float,
    relations: int | None = None,
) -> dict[str, Any]:
    """The same of relations of which it is known whether they are right.

    Args:
        right: [Q] bool, or what each counts as.
        offsets: [N + 1], where each of N images' relations begin, best first.
        scores: [Q], calibrated.
        raw: [Q], what they were before.
        min_score: What is shown by default has at least this score.
        relations: How many true ones there are; None: nobody knows.

    Returns:
        {"ECE": of each image's ten best relations, as many as a picture shows; "ECE uncalibrated": before; "ECE, all":
        of all; "min_score"; "precision", "recall", "F1", "an image": of `threshold_figures` at it; "bins": [[count,
        mean score, share of right ones], ...] of the ten best}, fractions of 1.
    """
    best = np.arange(len(right)) - offsets[owners(offsets)] < BEST
    bins = reliability_bins(scores[best], right[best])
    return {
        "ECE": expected_calibration_error(scores[best], right[best]),
        "ECE uncalibrated": expected_calibration_error(raw[best], right[best]),
        "ECE, all": expected_calibration_error(scores, right),
        "min_score": min_score,
        **threshold_figures(scores, right, min_score, relations, len(offsets) - 1),
        "bins": [[int(count), float(mean), float(share)] for count, mean, share in zip(*bins, strict=True) if count],
    }
