"""Pseudo labels: an entity's best regions, and the labels a training step draws from them (METHOD.md section 5)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Literal

import numpy as np

from groundgraph.data.types import PseudoLabels, SoftLabels

DrawRule = Literal["uniform", "score", "every"]
NEGLIGIBLE = 1e-3  # a region with less of an entity's softmax is no candidate for soft labels
LEAST_PAIR = 0.05  # a pair of regions that a triplet means with less than this is not listed


def top_regions(
    scores: np.ndarray, k: int, floor: float | None = None, rng: np.random.Generator | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """The k best regions of every entity.

    Args:
        scores: [E, V].
        k: How many at most.
        floor: Only regions scoring above it count.
        rng: Ties fall in random order; without it, in the regions'.

    Returns:
        Regions [E, k] int64, best first, -1 pads; their scores [E, k] float32.
    """
    entities, count = scores.shape
    noise = rng.random(scores.shape) if rng is not None else np.zeros_like(scores)
    order = np.lexsort((noise, -scores), axis=1)[:, :k]
    regions = np.full((entities, k), -1, np.int64)
    values = np.zeros((entities, k), np.float32)
    if count:
        regions[:, : order.shape[1]] = order
        values[:, : order.shape[1]] = np.take_along_axis(scores, order, 1)
    if floor is not None:
        below = (values <= floor) | (regions < 0)
        regions[below], values[below] = -1, 0.0
    return regions, values


def keep_best(pseudo: PseudoLabels, k: int) -> PseudoLabels:
    """The labels with an entity's k best candidates alone."""
    best = slice(k)
    return replace(
        pseudo, regions=pseudo.regions[:, best], scores=pseudo.scores[:, best], weights=pseudo.weights[:, best]
    )


def softmax_shares(scores: np.ndarray, regions: np.ndarray) -> np.ndarray:
    """What candidates hold of softmax_j(a_ij) over all regions.

    Args:
        scores: a [E, V].
        regions: The candidates [E, K]; -1 pads.

    Returns:
        [E, K] float32.
    """
    if not scores.size:
        return np.zeros(regions.shape, np.float32)
    shares = np.exp(scores - scores.max(1, keepdims=True))
    shares /= shares.sum(1, keepdims=True)
    return np.where(regions >= 0, np.take_along_axis(shares, regions.clip(0), 1), 0).astype(np.float32)


def soft_labels(pseudo: PseudoLabels, categories: int, predicates: int) -> SoftLabels:
    """Label distributions instead of a draw: regions are weighted by softmax(a_i) (the paper's outlook).

    Ours, since the paper leaves the form open:
    - an entity's candidates, all regions or its best few, have its softmax's shares, scaled to sum to 1;
    - an entity is region j with probability w_ij; entities of one category are mentions of things of one kind, so a
      region shows category c with 1 - prod_i (1 - w_ij) over its entities, and nothing with the product over all
      categories; the two are scaled to sum to 1;
    - a triplet holds between regions j and k with w_sj w_ok; of several that say the same predicate the surest counts;
      pairs below LEAST_PAIR are not listed; a pair's background is the product of (1 - p) over its predicates, and all
      are scaled to sum to 1.

    Args:
        pseudo: One image's.
        categories: C of the evaluation vocabulary.
        predicates: P of the evaluation vocabulary.
    """
    entities = np.flatnonzero(pseudo.categories >= 0)
    weights = np.zeros((len(pseudo.categories), pseudo.count), np.float32)
    row, slot = np.nonzero((pseudo.regions >= 0) & (pseudo.categories >= 0)[:, None])
    weights[row, pseudo.regions[row, slot]] = pseudo.weights[row, slot]
    weights /= np.maximum(weights.sum(1, keepdims=True), 1e-12)
    absent = np.ones((1 + categories, pseudo.count), np.float32)
    np.multiply.at(absent, pseudo.categories[entities] + 1, 1 - weights[entities])
    objects = 1 - absent.T
    objects[:, 0] = absent[1:].prod(0)
    objects /= objects.sum(1, keepdims=True)

    held = np.zeros((1 + predicates, pseudo.count, pseudo.count), np.float32)
    subject, object_, predicate = pseudo.triplets.T
    np.maximum.at(held, predicate + 1, weights[subject][:, :, None] * weights[object_][:, None, :])
    held[:, np.arange(pseudo.count), np.arange(pseudo.count)] = 0  # a triplet on one region says nothing
    pairs = np.argwhere(held.max(0) >= LEAST_PAIR)
    spread = held[:, pairs[:, 0], pairs[:, 1]].T.copy()
    spread[:, 0] = (1 - spread[:, 1:]).prod(1)
    spread /= np.maximum(spread.sum(1, keepdims=True), 1e-12)
    return SoftLabels(objects, pairs.astype(np.int64), spread)


def pseudo_record(name: str, pseudo: PseudoLabels, nouns: Sequence[str]) -> dict[str, Any]:
    """One image's pseudo labels as JSON: its entities with their candidates (region, score, weight), its triplets."""
    rows = zip(nouns, pseudo.categories, pseudo.regions, pseudo.scores, pseudo.weights, strict=True)
    return {
        "id": name,
        "entities": [
            {
                "name": noun,
                "category": int(category),
                "regions": regions[regions >= 0].tolist(),
                "scores": [round(v, 5) for v in scores[regions >= 0].tolist()],
                "weights": [round(v, 5) for v in weights[regions >= 0].tolist()],
            }
            for noun, category, regions, scores, weights in rows
        ],
        "triplets": pseudo.triplets.tolist(),
    }


def pseudo_of(record: dict[str, Any], count: int) -> PseudoLabels:
    """Pseudo labels from their `pseudo_record`, for an image of `count` regions."""
    entities = record["entities"]
    width = max((len(e["regions"]) for e in entities), default=0)
    regions = np.full((len(entities), width), -1, np.int64)
    scores, weights = np.zeros((2, len(entities), width), np.float32)
    for row, entity in enumerate(entities):
        filled = slice(len(entity["regions"]))
        regions[row, filled], scores[row, filled] = entity["regions"], entity["scores"]
        weights[row, filled] = entity["weights"]
    return PseudoLabels(
        np.array([e["category"] for e in entities], np.int64),
        regions,
        scores,
        weights,
        np.array(record["triplets"], np.int64).reshape(-1, 3),
        count,
    )


def draw_labels(
    pseudo: PseudoLabels, rng: np.random.Generator, draw: DrawRule = "uniform"
) -> tuple[np.ndarray, np.ndarray]:
    """What one training step takes for true of an image.

    The rules, METHOD.md section 5 (whether a relation's boxes must overlap is the business of the SGG model's loss):
    - a region that no entity takes is background;
    - of two entities of different categories that take one region, the higher score wins, and the loser's triplets on
      that region go with it;
    - a triplet whose subject and object are one region is dropped;
    - the same predicate on the same pair of regions counts once, however many captions say it.

    Args:
        pseudo: The image's.
        rng: Of the draws.
        draw: "uniform": one candidate an entity, each equally likely (the paper). "score": one, with probability
            softmax of the candidates' a_ij, for detectors whose regions hardly overlap, where second and third
            candidates are other things. "every": all candidates of an entity at once and every pair of them (SGNLS).

    Returns:
        Labels [V] int64 (0 = background, else category + 1) and relations [R, 3] (subject region, object region,
        predicate + 1).
    """
    labels = np.zeros(pseudo.count, np.int64)
    usable = (pseudo.regions >= 0) & (pseudo.categories >= 0)[:, None]
    drawn = usable
    if draw != "every" and usable.size:  # the largest of logits with Gumbel noise is a draw from their softmax
        noisy = rng.gumbel(size=usable.shape) + (pseudo.scores if draw == "score" else 0.0)
        best = np.where(usable, noisy, -np.inf).argmax(1)
        drawn = usable & (np.arange(usable.shape[1]) == best[:, None])
    entity, slot = np.nonzero(drawn)
    region = pseudo.regions[entity, slot]
    order = np.argsort(pseudo.scores[entity, slot], kind="stable")  # the best writes last
    labels[region[order]] = pseudo.categories[entity[order]] + 1
    holds = labels[region] == pseudo.categories[entity] + 1
    entity, region = entity[holds], region[holds]

    # Every triplet with every region of its subject and of its object: a join on the entities.
    takers = np.zeros((len(pseudo.categories), pseudo.count), bool)
    takers[entity, region] = True
    t, s, o = np.nonzero(takers[pseudo.triplets[:, 0]][:, :, None] & takers[pseudo.triplets[:, 1]][:, None, :])
    relations = np.stack([s, o, pseudo.triplets[t, 2] + 1], 1)
    relations = np.unique(relations[s != o], axis=0)
    return labels, relations
