"""Recall of what a model was supervised on (base) and of what it was not (novel), and their harmonic mean."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from groundgraph.data.graph_arrays import PredictionArrays, TruthArrays, owners
from groundgraph.evaluation.matching import triplet_labels
from groundgraph.evaluation.recall import harmonic_mean, sgdet_recall

GROUPS = ("base", "novel", "novel categories", "novel predicates")


def novel_recall(
    truth: TruthArrays,
    predictions: PredictionArrays,
    categories: np.ndarray,
    predicates: np.ndarray,
    ks: Sequence[int] = (20, 50, 100),
) -> dict[str, dict[str, float | None]]:
    """R@K of parts of the true relations; predictions are of all names, as always (the generalised setting).

    Args:
        truth: the true graphs of N images.
        predictions: the predicted graphs of the same images.
        categories: [C] bool, which were withheld from supervision.
        predicates: [P] bool, which were withheld from supervision.
        ks: how many predictions of an image count.

    Returns:
        {"base": {"R@K": fraction of 1, None where there is no such relation}}, of the relations whose three names are
        base; "novel": of all others; "novel categories", "novel predicates": of those with one; "harmonic mean": of
        base and novel. Source: OvSGTR (Chen et al. 2024) measures novel predicates and all; the harmonic mean is that
        of generalised zero-shot learning (Xian et al. 2018).
    """
    labels = triplet_labels(truth)
    category, predicate = (np.concatenate([[False], withheld]) for withheld in (categories, predicates))
    thing, relation = category[labels[:, :2]].any(1), predicate[labels[:, 2]]
    parts = dict(zip(GROUPS, (~thing & ~relation, thing | relation, thing, relation), strict=True))
    figures: dict[str, dict[str, float | None]] = {}
    for name, chosen in parts.items():
        recall = sgdet_recall(_only(truth, chosen), predictions, ks) if chosen.any() else {}
        figures[name] = {f"R@{k}": recall.get(f"R@{k}") for k in ks}
    figures["harmonic mean"] = {
        key: harmonic_mean(base, figures["novel"][key]) for key, base in figures["base"].items()
    }
    return figures


def _only(truth: TruthArrays, chosen: np.ndarray) -> TruthArrays:
    """The graphs with some of the relations."""
    counts = np.bincount(owners(truth.relation_offsets)[chosen], minlength=truth.images)
    offsets = np.concatenate([[0], counts.cumsum()])
    return replace(truth, relations=truth.relations[chosen], relation_offsets=offsets)
