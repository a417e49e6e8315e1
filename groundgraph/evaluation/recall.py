"""Recall of triplets, after Scene-Graph-Benchmark's conventions or VRD's, for all images at once.

Every metric is a mean of recalls: of an image's true relations (of one predicate, or never seen in training, as the
metric wants), the share that is among the first K predictions. `triplet_recall` gives these, the metrics average them;
by VRD's convention an image counts as often as it has relations, which is recall pooled over all images' relations.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import pairwise
from typing import Literal

import numpy as np

from groundgraph.data.graph_arrays import PredictionArrays, TruthArrays, owners
from groundgraph.errors import InputError
from groundgraph.evaluation.matching import (
    constrained,
    first_matches,
    join,
    one_to_one_matches,
    triplet_labels,
    unconstrained,
)

Convention = Literal["default", "sgb", "vrd"]
CONVENTIONS = ("default", "sgb", "vrd")


@dataclass(frozen=True)
class GroupedRecall:
    """The recalls that one metric averages: first over the images of a group, then over the groups.

    Attributes:
        values: [M] float64 in 0..1, ordered by group, then by image.
        images: [M] int64, whose each is.
        groups: [M] int64, the group of each. R has one group, mR one a predicate.
        width: how many groups there are.
        weights: [M] float64, what each counts in its group's mean; None: all alike.
    """

    values: np.ndarray
    images: np.ndarray
    groups: np.ndarray
    width: int
    weights: np.ndarray | None = None

    @cached_property
    def means(self) -> np.ndarray:
        """Each group's mean over the images that have it: [width] float64, nan where none has."""
        if self.weights is not None:
            sums = np.bincount(self.groups, self.values * self.weights, self.width)
            totals = np.bincount(self.groups, self.weights, self.width)
            return np.divide(sums, totals, out=np.full(self.width, np.nan), where=totals > 0)
        ends = np.searchsorted(self.groups, np.arange(self.width + 1)).tolist()
        # Summed part by part, not by bincount or reduceat: these add in another order than the published evaluator.
        means = [float(np.add.reduce(self.values[a:b])) / (b - a) if b > a else np.nan for a, b in pairwise(ends)]
        return np.array(means)

    @property
    def mean(self) -> float:
        """The metric: the mean of the groups, one that no image has counting 0."""
        return float(sum(np.nan_to_num(self.means).tolist()) / self.width) if self.width else 0.0

    def resampled(self, weights: np.ndarray) -> np.ndarray:
        """The metric of samples of the images.

        Args:
            weights: [D, N], how often each of D samples has each of N images.

        Returns:
            [D] float64.
        """
        if not self.width:
            return np.zeros(len(weights))
        sums, counts = np.zeros((2, weights.shape[1], self.width))
        counts[self.images, self.groups] = 1 if self.weights is None else self.weights
        sums[self.images, self.groups] = self.values
        sums *= counts
        resampled: np.ndarray = (weights @ sums / np.maximum(weights @ counts, 1)).mean(1)
        return resampled


def triplet_recall(
    truth: TruthArrays,
    predictions: PredictionArrays,
    ks: Sequence[int] = (20, 50, 100),
    convention: Convention = "default",
    zeroshot: np.ndarray | None = None,
    predicates: int | None = None,
    phrase: bool = False,
) -> dict[tuple[str, int], GroupedRecall]:
    """The recalls that R, ngR, mR, ngmR and, where `zeroshot` is given, zR and ngzR average.

    A prediction matches where its three labels are right and both boxes have IoU >= 0.5 with theirs (sides are
    inclusive pixels, float32). "R": a pair has one predicate, its best; pairs keep their order. "ng": every (pair,
    predicate), ranked by subject score x object score x predicate score. An image's recall is the share of its true
    relations that are matched among the first K, duplicates counting as they stand; images without true relations do
    not count. "mR": each predicate's mean over the images that have it, then the mean over all P, a predicate that
    never occurs counting 0. Where nothing counts the metric is 0.
    Source: Scene-Graph-Benchmark's evaluator; mR: VCTree (Tang et al. 2019).

    By VRD's convention (Lu et al., ECCV 2016, and the evaluator they published) recall is pooled: the share of all
    images' relations. A prediction matches at most one relation, of several the one that it overlaps most, and a
    relation that is annotated twice has to be predicted twice. R and zR are theirs with k = 1 predicate a pair, ngR and
    ngzR with k = all. Their evaluator counts the relations of an image with one or two as three (MATLAB's `length` of
    an [n, 3] array), which lowers its figures by some 2 in 100; here they are counted as they are.

    Args:
        truth: the true graphs of N images.
        predictions: the predicted graphs of the same images.
        ks: how many predictions of an image count.
        convention: an image without a predicted pair counts 0 ("default") or is skipped ("sgb": as that evaluator);
            "vrd": see above.
        zeroshot: [Z, 3] (subject label, object label, predicate) that training never saw.
        predicates: P, over which mR is averaged; None: as many as the predictions score.
        phrase: boxes match by the one box around subject and object (phrase detection).

    Returns:
        {(name, K): the recalls}.

    Raises:
        InputError: where the two do not cover equally many images, on an unknown convention, and on a true predicate
            beyond P.
    """
    if predictions.images != truth.images:
        raise InputError(f"{truth.images} images have ground truth but {predictions.images} have predictions")
    if convention not in CONVENTIONS:
        raise InputError(f'unknown convention "{convention}": use {", ".join(CONVENTIONS)}')
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
    # metric -> (which relations count, the group of each relation, how many groups)
    groupings = {"R": (counted, np.zeros_like(image), 1), "mR": (counted, labels[:, 2] - 1, predicates)}
    if zeroshot is not None:
        unseen = np.zeros(len(image), bool)
        unseen[join(labels, np.reshape(zeroshot, (-1, 3)).astype(np.int64))[0]] = True
        groupings["zR"] = (counted & unseen, np.zeros_like(image), 1)
    grouped = {name: (kept, *_group(image[kept], of[kept], width)) for name, (kept, of, width) in groupings.items()}

    recalls = {}
    matches = one_to_one_matches if convention == "vrd" else first_matches
    for prefix, candidates in (("", constrained), ("ng", unconstrained)):
        ranks = matches(truth, predictions, candidates(predictions, max(ks)), phrase)
        for name, (kept, row, totals) in grouped.items():
            weights = totals.values.astype(np.float64) if convention == "vrd" else None
            for k in ks:
                matched = np.bincount(row, ranks[kept] < k, minlength=len(totals.images))
                recalls[prefix + name, k] = replace(totals, values=matched / totals.values, weights=weights)
    return recalls


def sgdet_recall(
    truth: TruthArrays,
    predictions: PredictionArrays,
    ks: Sequence[int] = (20, 50, 100),
    convention: Convention = "default",
    zeroshot: np.ndarray | None = None,
    predicates: int | None = None,
) -> dict[str, float]:
    """Recall@K; arguments, conventions and errors are those of `triplet_recall`.

    Returns:
        {"R@K", "ngR@K", "mR@K", "ngmR@K", and "zR@K", "ngzR@K" where `zeroshot` is given: fraction of 1}.
    """
    recalls = triplet_recall(truth, predictions, ks, convention, zeroshot, predicates)
    return {f"{name}@{k}": recall.mean for (name, k), recall in recalls.items()}


def harmonic_mean(first: float | None, second: float | None) -> float | None:
    """Of two recalls, None where one is; F1@K is that of R@K and mR@K. Source: IETrans (Zhang et al. 2022)."""
    if first is None or second is None:
        return None
    return 2 * first * second / (first + second) if first + second else 0.0


def _group(image: np.ndarray, group: np.ndarray, width: int) -> tuple[np.ndarray, GroupedRecall]:
    """The row of each relation [R] in a table of (group, image), and the table: `values` count its relations."""
    step = int(image.max(initial=0)) + 1
    keys, row, totals = np.unique(group * step + image, return_inverse=True, return_counts=True)
    groups, images = np.divmod(keys, step)
    return row.reshape(-1), GroupedRecall(totals, images, groups, width)
