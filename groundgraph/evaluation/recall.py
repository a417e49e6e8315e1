"""Recall of triplets, after Scene-Graph-Benchmark's conventions, for all images at once.

Every figure is a mean of shares: of an image's true relations (of one predicate, or never seen in training, as the
figure wants), the share that is among the first K predictions. `shares` gives these, the figures average them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Literal

import numpy as np

from groundgraph.errors import InputError
from groundgraph.evaluation.arrays import (
    PredictionArrays,
    TruthArrays,
    owners,
    prediction_arrays,
    truth_arrays,
)
from groundgraph.evaluation.matching import constrained, first_matches, join, triplet_labels, unconstrained

__all__ = [
    "CONVENTIONS",
    "Convention",
    "PredictionArrays",
    "Shares",
    "TruthArrays",
    "prediction_arrays",
    "recall_shares",
    "sgdet_recall",
    "truth_arrays",
]

Convention = Literal["default", "sgb"]
CONVENTIONS = ("default", "sgb")


@dataclass(frozen=True)
class Shares:
    """What one figure averages: first over the images within a column, then over the columns.

    values [M] in 0..1, images [M] and columns [M] say whose they are; `width` columns in all. R has one column, mR
    one a predicate. Rows are ordered by column, then by image.
    """

    values: np.ndarray
    images: np.ndarray
    columns: np.ndarray
    width: int

    @cached_property
    def means(self) -> np.ndarray:
        """Each column's mean over the images that have it: [width] float64, nan where none has."""
        ends = np.searchsorted(self.columns, np.arange(self.width + 1)).tolist()
        # Summed part by part, not by bincount or reduceat: these add in another order than the published evaluator.
        sums = [float(np.add.reduce(self.values[a:b])) / (b - a) if b > a else np.nan for a, b in pairwise(ends)]
        return np.array(sums)

    @property
    def mean(self) -> float:
        """The figure: the mean of the columns, one that no image has counting 0."""
        return float(sum(np.nan_to_num(self.means).tolist()) / self.width) if self.width else 0.0

    def resampled(self, weights: np.ndarray) -> np.ndarray:
        """The figure of samples of the images: weights [D, N], how often each sample has each image -> [D]."""
        if not self.width:
            return np.zeros(len(weights))
        sums, counts = np.zeros((2, weights.shape[1], self.width))
        sums[self.images, self.columns] = self.values
        counts[self.images, self.columns] = 1
        return (weights @ sums / np.maximum(weights @ counts, 1)).mean(1)


def recall_shares(
    truth: TruthArrays,
    predictions: PredictionArrays,
    ks: Sequence[int] = (20, 50, 100),
    convention: Convention = "default",
    zeroshot: np.ndarray | None = None,
    predicates: int | None = None,
    phrase: bool = False,
) -> dict[tuple[str, int], Shares]:
    """What R, ngR, mR, ngmR and, where `zeroshot` is given, zR and ngzR average: {(name, K): Shares}.

    truth, predictions  of the same N images
    convention          an image without a predicted pair counts 0 ("default") or is skipped ("sgb": as that evaluator)
    zeroshot            [Z, 3] (subject label, object label, predicate) that training never saw
    predicates          P, over which mR is averaged; None: as many as the predictions score
    phrase              boxes match by the one box around subject and object (phrase detection)

    A prediction matches where its three labels are right and both boxes have IoU >= 0.5 with theirs (sides are
    inclusive pixels, float32). "R": a pair has one predicate, its best; pairs keep their order. "ng": every (pair,
    predicate), ranked by subject score x object score x predicate score. An image's recall is the share of its true
    relations that are matched among the first K, duplicates counting as they stand; images without true relations do
    not count. "mR": each predicate's mean over the images that have it, then the mean over all P, a predicate that
    never occurs counting 0. Where nothing counts the figure is 0.
    Raises InputError where the two do not cover equally many images, on an unknown convention, and on a true predicate
    beyond P. Source: Scene-Graph-Benchmark's evaluator; mR: VCTree (Tang et al. 2019).
    """
    if predictions.images != truth.images:
        raise InputError(f"{truth.images} images have ground truth but {predictions.images} have predictions")
    if convention not in CONVENTIONS:
        raise InputError(f'unknown convention "{convention}": use {" or ".join(CONVENTIONS)}')
    image = owners(truth.relation_offsets)
    labels = triplet_labels(truth)
    largest = int(labels[:, 2].max(initial=0))
    if predicates is None:
        predicates = predictions.predicate_scores.shape[1] - 1 if len(predictions.pairs) else largest
    if largest > predicates:
        raise InputError(f"a true relation has predicate {largest}, but there are {predicates} predicates")
    counted = np.ones(len(image), bool)
    if convention == "sgb":
        counted = np.diff(predictions.pair_offsets)[image] > 0
    groups = {"R": (counted, np.zeros_like(image), 1), "mR": (counted, labels[:, 2] - 1, predicates)}
    if zeroshot is not None:
        unseen = np.zeros(len(image), bool)
        unseen[join(labels, np.reshape(zeroshot, (-1, 3)).astype(np.int64))[0]] = True
        groups["zR"] = (counted & unseen, np.zeros_like(image), 1)
    averaged = {name: _grouped(image, *group) for name, group in groups.items()}

    figures = {}
    for prefix, candidates in (("", constrained), ("ng", unconstrained)):
        first = first_matches(truth, predictions, candidates(predictions, max(ks)), phrase)
        for name, (kept, group, shares) in averaged.items():
            for k in ks:
                found = np.bincount(group, first[kept] < k, minlength=len(shares.images))
                values = found / shares.values
                figures[prefix + name, k] = Shares(values, shares.images, shares.columns, shares.width)
    return figures


def sgdet_recall(
    truth: TruthArrays,
    predictions: PredictionArrays,
    ks: Sequence[int] = (20, 50, 100),
    convention: Convention = "default",
    zeroshot: np.ndarray | None = None,
    predicates: int | None = None,
) -> dict[str, float]:
    """Recall@K as fractions of 1: "R@K", "ngR@K", "mR@K", "ngmR@K", and "zR@K", "ngzR@K" where `zeroshot` is given.

    Arguments, conventions and errors are those of `recall_shares`.
    """
    shares = recall_shares(truth, predictions, ks, convention, zeroshot, predicates)
    return {f"{name}@{k}": figure.mean for (name, k), figure in shares.items()}


def _grouped(
    image: np.ndarray, counted: np.ndarray, column: np.ndarray, width: int
) -> tuple[np.ndarray, np.ndarray, Shares]:
    """Group the counted relations by column and image: (which count [R] bool, group of each, the groups).

    The groups' `values` are how many relations they have.
    """
    keys = column[counted] * (int(image.max(initial=0)) + 1) + image[counted]
    keys, group, sizes = np.unique(keys, return_inverse=True, return_counts=True)
    columns, images = np.divmod(keys, int(image.max(initial=0)) + 1)
    return counted, group.reshape(-1), Shares(sizes, images, columns, width)
