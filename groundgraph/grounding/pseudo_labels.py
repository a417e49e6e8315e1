"""Pseudo labels: an entity's best regions, and the labels a training step draws from them (METHOD.md section 5)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Literal

import numpy as np

from groundgraph.data.types import CandidatePairs, PseudoLabels, SoftLabels

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
    """The labels with an entity's k best candidates alone, and a triplet's k best pairs."""
    best = slice(k)
    return replace(
        pseudo,
        regions=pseudo.regions[:, best],
        scores=pseudo.scores[:, best],
        weights=pseudo.weights[:, best],
        pairs=pseudo.pairs and pseudo.pairs.best(k),
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
    - a triplet holds between regions j and k with w_sj w_ok, or where its pairs are grounded with their probability,
      scaled to sum to 1; of several that say the same predicate the surest counts;
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
    if pseudo.pairs is None:
        np.maximum.at(held, predicate + 1, weights[subject][:, :, None] * weights[object_][:, None, :])
    else:
        real = pseudo.pairs.real
        shares = np.where(real, np.exp(pseudo.pairs.scores), 0)
        shares /= np.maximum(shares.sum(1, keepdims=True), 1e-12)
        np.maximum.at(held, (predicate[np.nonzero(real)[0]] + 1, *pseudo.pairs.regions[real].T), shares[real])
    held[:, np.arange(pseudo.count), np.arange(pseudo.count)] = 0  # a triplet on one region says nothing
    pairs = np.argwhere(held.max(0) >= LEAST_PAIR)
    spread = held[:, pairs[:, 0], pairs[:, 1]].T.copy()
    spread[:, 0] = (1 - spread[:, 1:]).prod(1)
    spread /= np.maximum(spread.sum(1, keepdims=True), 1e-12)
    return SoftLabels(objects, pairs.astype(np.int64), spread)


def pseudo_record(name: str, pseudo: PseudoLabels, nouns: Sequence[str]) -> dict[str, Any]:
    """One image's pseudo labels as JSON: its entities with their candidates (region, score, weight), its triplets.

    Where pairs are grounded, also each triplet's, as [subject region, object region, log probability].
    """
    rows = zip(nouns, pseudo.categories, pseudo.regions, pseudo.scores, pseudo.weights, strict=True)
    record: dict[str, Any] = {
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
    if pseudo.pairs is not None:
        record["pairs"] = pseudo.pairs.rows()
    return record


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
        _pairs_of(record["pairs"]) if "pairs" in record else None,
    )


def _pairs_of(records: list[list[list[float]]]) -> CandidatePairs:
    most = max(map(len, records), default=0)
    regions, scores = np.full((len(records), most, 2), -1, np.int64), np.zeros((len(records), most), np.float32)
    for row, own in enumerate(records):
        rows = np.reshape(np.array(own, np.float64), (-1, 3))
        regions[row, : len(own)], scores[row, : len(own)] = rows[:, :2], rows[:, 2]
    return CandidatePairs(regions, scores)


def draw_labels(
    pseudo: PseudoLabels, rng: np.random.Generator, draw: DrawRule = "uniform"
) -> tuple[np.ndarray, np.ndarray]:
    """What one training step takes for true of an image.

    The rules, METHOD.md section 5 (whether a relation's boxes must overlap is the business of the SGG model's loss):
    - a region that no entity takes is background;
    - of two entities of different categories that take one region, the higher score wins, and the loser's triplets on
      that region go with it;
    - a triplet whose subject and object are one region is dropped;
    - the same predicate on the same pair of regions counts once, however many captions say it;
    - where pairs are grounded, a triplet's pair is drawn, so that subject and object agree; an entity of several
      triplets is one region in all of them, and of those that cannot have it so the later ones are dropped.

    Args:
        pseudo: The image's.
        rng: Of the draws.
        draw: "uniform": one candidate an entity, or a triplet, each equally likely (the paper). "score": one, with
            probability softmax of the candidates' scores, for detectors whose regions hardly overlap, where second and
            third candidates are other things. "every": all candidates at once (SGNLS).

    Returns:
        Labels [V] int64 (0 = background, else category + 1) and relations [R, 3] (subject region, object region,
        predicate + 1).
    """
    usable = (pseudo.regions >= 0) & (pseudo.categories >= 0)[:, None]
    pairs = None if pseudo.pairs is None else _drawn_pairs(pseudo, pseudo.pairs, rng, draw)
    if pairs is not None:
        ends = pseudo.triplets[pairs[:, 0], :2]
        usable[np.unique(ends)] = False
    drawn = usable
    if draw != "every" and usable.size:  # the largest of logits with Gumbel noise is a draw from their softmax
        noisy = rng.gumbel(size=usable.shape) + (pseudo.scores if draw == "score" else 0.0)
        best = np.where(usable, noisy, -np.inf).argmax(1)
        drawn = usable & (np.arange(usable.shape[1]) == best[:, None])
    entity, slot = np.nonzero(drawn)
    region, score = pseudo.regions[entity, slot], pseudo.scores[entity, slot]
    if pairs is not None:
        taken = np.unique(np.stack([ends.ravel(), pairs[:, 1:].ravel()]), axis=1)
        entity, region = np.concatenate([entity, taken[0]]), np.concatenate([region, taken[1]])
        score = np.concatenate([score, _scores_of(pseudo, *taken)])
    labels = np.zeros(pseudo.count, np.int64)
    order = np.argsort(score, kind="stable")  # the best writes last
    labels[region[order]] = pseudo.categories[entity[order]] + 1
    holds = labels[region] == pseudo.categories[entity] + 1
    takers = np.zeros((len(pseudo.categories), pseudo.count), bool)
    takers[entity[holds], region[holds]] = True
    subject, object_, predicate = pseudo.triplets.T
    if pairs is not None:
        t, s, o = pairs[takers[subject[pairs[:, 0]], pairs[:, 1]] & takers[object_[pairs[:, 0]], pairs[:, 2]]].T
    else:  # every triplet with every region of its subject and of its object: a join on the entities
        t, s, o = np.nonzero(takers[subject][:, :, None] & takers[object_][:, None, :])
    relations = np.stack([s, o, predicate[t] + 1], 1)
    return labels, np.unique(relations[s != o], axis=0)


def _drawn_pairs(
    pseudo: PseudoLabels, candidates: CandidatePairs, rng: np.random.Generator, draw: DrawRule
) -> np.ndarray:
    """Rows [R, 3] (triplet, subject region, object region), drawn as `draw_labels` says."""
    real = candidates.real
    if draw == "every":
        return np.column_stack([np.nonzero(real)[0], candidates.regions[real]])
    noisy = np.where(real, rng.gumbel(size=real.shape) + (candidates.scores if draw == "score" else 0.0), -np.inf)
    region_of = np.full(len(pseudo.categories), -1)
    rows = []
    for t in rng.permutation(len(noisy)):  # one after the other, since what one draws binds the next
        ends, pairs = pseudo.triplets[t, :2], candidates.regions[t]
        agree = ((region_of[ends] < 0) | (pairs == region_of[ends])).all(1)
        keys = np.where(agree, noisy[t], -np.inf)
        if keys.size and keys.max() > -np.inf:
            region_of[ends] = pairs[keys.argmax()]
            rows.append((t, *region_of[ends]))
    return np.array(rows, np.int64).reshape(-1, 3)


def _scores_of(pseudo: PseudoLabels, entity: np.ndarray, region: np.ndarray) -> np.ndarray:
    """The entities' scores of regions; of one beyond an entity's candidates, its last candidate's."""
    same = pseudo.regions[entity] == region[:, None]
    last = np.where(pseudo.regions[entity] >= 0, pseudo.scores[entity], np.inf).min(1, initial=0.0)
    return np.where(same.any(1), np.where(same, pseudo.scores[entity], -np.inf).max(1, initial=-np.inf), last)
