"""Calibrated scores of relations: how often one with such a score is right, learnt on images held out from training."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from groundgraph.data.types import Graph

FLOOR = 1e-30  # scores below are as good as none
HALF = 0.5  # share of what is shown by default that shall be right
SURE = 50  # relations, of fewer a share is noise


@dataclass(frozen=True)
class Calibration:
    """The share of right relations among those with a score: a rising curve through points.

    A relation's score is subject score x predicate score x object score; between two points the curve is straight over
    its logarithm. It nowhere falls, so relations keep their order.

    Attributes:
        scores: [k] ascending.
        probabilities: [k], at these.
        min_score: The least probability of what is shown by default: half of that is right.
        source: What the held-out images' relations were compared with: "annotations" or "captions".
        spoken: Of all true relations, the share that the source has.
    """

    scores: tuple[float, ...]
    probabilities: tuple[float, ...]
    min_score: float
    source: str = "annotations"
    spoken: float = 1.0

    def __call__(self, scores: np.ndarray) -> np.ndarray:
        """Scores [Q] -> probabilities [Q] float32."""
        logarithms = np.log(np.maximum(np.asarray(scores, np.float64), FLOOR))
        return np.interp(logarithms, np.log(self.scores), self.probabilities).astype(np.float32)

    def calibrated(self, graph: Graph) -> Graph:
        """The graph, its relations with their probabilities."""
        return replace(graph, confidences=self(replace(graph, confidences=None).relation_scores))

    def record(self) -> dict[str, Any]:
        """As JSON."""
        return asdict(self)

    @staticmethod
    def of_record(record: Mapping[str, Any] | None) -> Calibration | None:
        """What `record` gave; None stays None."""
        if record is None:
            return None
        scores, shares = (tuple(float(value) for value in record[name]) for name in ("scores", "probabilities"))
        rest = str(record["source"]), float(record.get("spoken", 1))
        return Calibration(scores, shares, float(record["min_score"]), *rest)


def fit_calibration(
    scores: np.ndarray, right: np.ndarray, source: str = "annotations", spoken: float = 1.0
) -> Calibration | None:
    """Learn what scores mean, by isotonic regression (Zadrozny and Elkan 2002).

    Where the source has a share c of the true relations only, whichever they are, a relation is right with 1 / c times
    the probability that the source has it (positive-unlabelled learning, Elkan and Noto 2008).

    Args:
        scores: [M], of relations of images held out from training.
        right: [M] bool, the source has it.
        source: What says so.
        spoken: c.

    Returns:
        The curve; None where there is no relation, or no right one, to learn from.
    """
    from scipy.optimize import isotonic_regression  # takes as long to import as a model to load

    if not np.any(right):
        return None
    values, place, counts = np.unique(np.maximum(scores, FLOOR), return_inverse=True, return_counts=True)
    hits = np.bincount(place, np.asarray(right, np.float64))
    blocks = isotonic_regression(hits / counts, weights=counts).blocks[:-1]
    sizes = np.add.reduceat(counts, blocks)
    # With half a right and half a wrong relation more in each block: no finite number makes certain.
    shares = (np.add.reduceat(hits, blocks) + 0.5) / (sizes + 1)
    shares = np.minimum(isotonic_regression(shares, weights=sizes).x / spoken, 1)
    centres = np.add.reduceat(np.log(values) * counts, blocks) / sizes
    # Beyond the points it still rises, by next to nothing, so that order is kept there too.
    ends = np.log(FLOOR), 1e-9
    points = np.concatenate([[ends[0]], centres, [ends[1]]])
    shares = np.concatenate([[0.0], shares, [min(1.0, shares[-1] + 1e-3)]])
    points, first = np.unique(points, return_index=True)
    curve = Calibration(tuple(np.exp(points).tolist()), tuple(shares[first].tolist()), 0.0, source, spoken)
    return replace(curve, min_score=half_right(curve(scores), np.asarray(right) / spoken))


def spoken_share(scores: np.ndarray, related: np.ndarray) -> float:
    """How many of all true relations captions speak of: the share of the surest relations whose pair they relate.

    What captions do not relate may be related or not, and of what a model is surest about nearly all is related (the
    estimator e3 of Elkan and Noto 2008). Of the n surest, n at least `SURE`, the n counts with the largest share and
    its standard error: as not all of them are related their share is too small, and scores would promise too much.

    Args:
        scores: [M], of relations of images held out from training.
        related: [M] bool, a caption relates its two boxes.

    Returns:
        In 0..1; 1 where there is nothing to learn from.
    """
    counts = np.arange(1, len(scores) + 1)
    shares = np.cumsum(np.asarray(related)[np.argsort(-scores, kind="stable")]) / counts
    upper = shares + np.sqrt(shares * (1 - shares) / counts)
    return min(1.0, float(upper[min(SURE, len(upper)) - 1 :].max(initial=0))) or 1.0


def half_right(probabilities: np.ndarray, right: np.ndarray) -> float:
    """The least threshold at which half of what reaches it is right; where none does, the one with the best F1.

    Args:
        probabilities: [M].
        right: [M], 0 or 1, or what each that is known to be right stands for.
    """
    order = np.argsort(-probabilities, kind="stable")
    hits, count = np.cumsum(right[order]), np.arange(1, len(order) + 1)
    enough = np.flatnonzero(hits >= HALF * count)
    last = enough[-1] if len(enough) else int(np.argmax(2 * hits / (count + hits[-1])))
    values = probabilities[order]
    below = values[last + 1] if last + 1 < len(values) else 0.0
    return float(values[last] + below) / 2


def at_least(graph: Graph, score: float, objects: bool = False) -> Graph:
    """The graph with the relations of at least this score and the objects that they join.

    Args:
        graph: Whole.
        score: In 0..1; 0: all stays.
        objects: All objects stay.
    """
    if score <= 0:
        return graph
    rows = graph.relation_scores >= score
    return graph.part(np.isin(np.arange(len(graph.scores)), graph.pairs[rows]) | objects, rows)
