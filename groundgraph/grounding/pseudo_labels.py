"""Pseudo labels: an entity's best regions, and the labels a training step draws from them (METHOD.md section 5)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

Draw = Literal["uniform", "score", "every"]


@dataclass(frozen=True)
class PseudoLabels:
    """One image's pseudo labels.

    categories  [E] int64, each entity's category in the evaluation vocabulary, from 0; -1 = none
    regions     [E, K] int64, candidate regions, best first; -1 = no more
    scores      [E, K] float32, the grounder's a_ij of each candidate
    triplets    [T, 3] int64 (subject entity, object entity, predicate from 0)
    count       V, the image's regions
    """

    categories: np.ndarray
    regions: np.ndarray
    scores: np.ndarray
    triplets: np.ndarray
    count: int


def top_regions(
    scores: np.ndarray, k: int, floor: float | None = None, rng: np.random.Generator | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """The k best regions of every entity: scores [E, V] -> (regions [E, k] int64, scores [E, k]); -1 pads.

    Only regions scoring above `floor` count, where one is given. Ties fall in random order if `rng` is given.
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


def draw_labels(
    pseudo: PseudoLabels, rng: np.random.Generator, draw: Draw = "uniform"
) -> tuple[np.ndarray, np.ndarray]:
    """What one training step takes for true: labels [V] (0 = background, category + 1) and relations [R, 3].

    draw "uniform": one candidate an entity, each equally likely (the paper). "score": one, with probability softmax of
    the candidates' a_ij, for detectors whose regions hardly overlap, where second and third candidates are other
    things. "every": all candidates of an entity at once and every pair of them (SGNLS). A relation is (subject region,
    object region, predicate + 1). Whether its boxes must overlap is the business of the SGG model's loss.
    The rules, METHOD.md section 5:
    - a region that no entity takes is background;
    - of two entities of different categories that take one region, the higher score wins, and the loser's triplets on
      that region go with it;
    - a triplet whose subject and object are one region is dropped;
    - the same predicate on the same pair of regions counts once, however many captions say it.
    """
    labels = np.zeros(pseudo.count, np.int64)
    usable = (pseudo.regions >= 0) & (pseudo.categories >= 0)[:, None]
    taken = usable
    if draw != "every" and usable.size:  # the largest of logits with Gumbel noise is a draw from their softmax
        noisy = rng.gumbel(size=usable.shape) + (pseudo.scores if draw == "score" else 0.0)
        best = np.where(usable, noisy, -np.inf).argmax(1)
        taken = usable & (np.arange(usable.shape[1]) == best[:, None])
    entity, slot = np.nonzero(taken)
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
