"""Right pairs: of the pairs of regions that a triplet may mean by their categories, is the best one true?

Where a triplet has one candidate there is nothing to decide, so only those with several are measured. A tie is broken
at random: what is reported is the exact expectation, as in `grounding`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from groundgraph.errors import InputError


@dataclass(frozen=True)
class TripletPairs:
    """One image's T triplets over its V regions.

    Attributes:
        scores: [T, V, V], the higher, the rather (subject region, object region) is meant.
        candidates: [T, V, V] bool, the pairs of the right categories; no region is in a pair with itself.
        right: [T, V, V] bool, the pairs that are truly meant.
    """

    scores: np.ndarray
    candidates: np.ndarray
    right: np.ndarray


def entity_pair_scores(scores: np.ndarray, triplets: np.ndarray) -> np.ndarray:
    """Scores of pairs from scores of single regions: the sum of the log softmax of subject and object.

    Args:
        scores: [E, V], an entity's of every region.
        triplets: [T, 2], subject and object as rows of scores.

    Returns:
        [T, V, V] float64.
    """
    values = np.asarray(scores, np.float64)
    peak = values.max(1, keepdims=True, initial=-np.inf)
    shares = values - peak - np.log(np.exp(values - peak).sum(1, keepdims=True))
    return shares[triplets[:, 0], :, None] + shares[triplets[:, 1], None, :]


def listed_pair_scores(pairs: np.ndarray, scores: np.ndarray, regions: int) -> np.ndarray:
    """Scores of all pairs from a list of the best: [T, K, 2] with -1 pads and [T, K] -> [T, V, V], -inf elsewhere."""
    table = np.full((len(pairs), regions, regions), -np.inf)
    triplet, place = np.nonzero(pairs[..., 0] >= 0)
    table[triplet, pairs[triplet, place, 0], pairs[triplet, place, 1]] = scores[triplet, place]
    return table


def pair_candidates(means: np.ndarray, triplets: np.ndarray) -> np.ndarray:
    """The pairs of the right categories, no region with itself.

    Args:
        means: [E, V] bool, which regions are of an entity's category.
        triplets: [T, 2], subject and object as rows of it.

    Returns:
        [T, V, V] bool.
    """
    both = means[triplets[:, 0], :, None] & means[triplets[:, 1], None, :]
    return both & ~np.eye(means.shape[1], dtype=bool)


def right_pairs(images: Iterable[TripletPairs]) -> Mapping[str, float | int | None]:
    """How often the best candidate pair of a triplet is true, over all that have several candidates.

    Args:
        images: one after the other.

    Returns:
        {"pair", "entity", "pair chance", "entity chance", "triplets"}: "pair": the best pair is a true one; "entity":
        the mean of subject and object being that of a true pair; "chance": a candidate drawn uniformly, which is what a
        rule by categories does; fractions of 1, None without such a triplet; "triplets": how many there are.

    Raises:
        InputError: where shapes disagree, or a score is not a number.
    """
    rows = [np.zeros((0, 4))]
    for image in images:
        shape = image.candidates.shape
        if not shape == image.right.shape == np.shape(image.scores):
            raise InputError(f"scores are {np.shape(image.scores)} and right pairs {image.right.shape}, not {shape}")
        if np.isnan(image.scores).any():
            raise InputError("a pair's score is not a number: the grounder diverged or a region has no features")
        kept = image.candidates.sum((1, 2)) > 1
        candidates, right = image.candidates[kept], image.right[kept]
        scores = np.where(candidates, np.asarray(image.scores, np.float64)[kept], -np.inf)
        best = candidates & (scores == scores.max((1, 2), keepdims=True, initial=-np.inf))
        subject, object_ = right.any(2)[:, :, None], right.any(1)[:, None, :]
        entity = (subject.astype(float) + object_) / 2
        values = [
            (drawn * true).sum((1, 2)) / drawn.sum((1, 2)) for drawn in (best, candidates) for true in (right, entity)
        ]
        rows.append(np.column_stack(values))
    table = np.concatenate(rows)
    means = table.mean(0).tolist() if len(table) else [None] * 4
    return dict(zip(("pair", "entity", "pair chance", "entity chance"), means, strict=True)) | {"triplets": len(table)}
