"""Belief propagation against all assignments counted one by one."""

from itertools import product

import numpy as np
import torch

from groundgraph.grounding.beliefs import propagate


def brute_force(unary, pairwise, triplets):
    """Log marginals of entities [E, V] and triplets [T, V, V], by every assignment of regions."""
    entities, width = unary.shape
    of_entity, of_triplet = np.zeros((entities, width)), np.zeros((len(triplets), width, width))
    for regions in product(range(width), repeat=entities):
        total = sum(unary[e, i] for e, i in enumerate(regions))
        total += sum(g[regions[s], regions[o]] for g, (s, o) in zip(pairwise, triplets, strict=True))
        weight = np.exp(total)
        for e, i in enumerate(regions):
            of_entity[e, i] += weight
        for t, (s, o) in enumerate(triplets):
            of_triplet[t, regions[s], regions[o]] += weight
    of_triplet += 1e-300  # a pair of one region
    log = [np.log(x / x.reshape(len(x), -1).sum(1).reshape(-1, *[1] * (x.ndim - 1))) for x in (of_entity, of_triplet)]
    return log[0], log[1]


def scores(entities, triplets, width=3, seed=0):
    rng = np.random.default_rng(seed)
    pairwise = rng.normal(size=(len(triplets), width, width))
    pairwise[:, range(width), range(width)] = -1e4
    return rng.normal(size=(entities, width)), pairwise


def run(unary, pairwise, triplets, rounds, spare=0):
    mask = torch.tensor([[True] * len(triplets) + [False] * spare])
    rows = torch.tensor([[*triplets, *[(0, 0)] * spare]]).view(1, -1, 2)
    padded = np.concatenate([pairwise, np.full((spare, *pairwise.shape[1:]), 5.0)])
    beliefs, joint = propagate(torch.tensor(unary)[None], torch.tensor(padded)[None], rows, mask, rounds)
    return beliefs[0].numpy(), joint[0, : len(triplets)].numpy()


def test_a_chain_is_exact_in_as_many_rounds_as_it_has_triplets():
    triplets = [(0, 1), (2, 1), (2, 3)]
    unary, pairwise = scores(5, triplets)
    beliefs, joint = run(unary, pairwise, triplets, 3, spare=2)
    exact = brute_force(unary, pairwise, triplets)
    np.testing.assert_allclose(beliefs, exact[0], atol=1e-6)
    possible = ~np.eye(3, dtype=bool)
    np.testing.assert_allclose(joint[:, possible], exact[1][:, possible], atol=1e-6)
    assert (joint[:, ~possible] < -1e3).all()


def test_a_star_is_exact_in_two_rounds_and_an_entity_alone_keeps_its_scores():
    triplets = [(0, 1), (0, 2), (3, 0)]
    unary, pairwise = scores(5, triplets, seed=1)
    beliefs, _ = run(unary, pairwise, triplets, 2)
    exact = brute_force(unary, pairwise, triplets)
    np.testing.assert_allclose(beliefs, exact[0], atol=1e-6)
    np.testing.assert_allclose(beliefs[4], unary[4] - np.log(np.exp(unary[4]).sum()), atol=1e-6)


def test_two_triplets_of_the_same_ends_agree():
    """A circle: not exact, but the two triplets' beliefs are near to the truth and to each other's ends."""
    triplets = [(0, 1), (0, 1)]
    unary, pairwise = scores(2, triplets, seed=2)
    _, joint = run(unary, pairwise, triplets, 4)
    best = brute_force(unary, pairwise, triplets)[1][0].argmax()
    assert joint[0].argmax() == joint[1].argmax() == best


def test_without_rounds_an_entity_is_the_mean_of_its_triplets():
    triplets = [(0, 1), (2, 0)]
    unary, pairwise = scores(3, triplets, seed=3)
    beliefs, joint = run(unary, pairwise, triplets, 0, spare=1)
    alone = [brute_force(unary[list(ends)], pairwise[k : k + 1], [(0, 1)]) for k, ends in enumerate(triplets)]
    mean = (alone[0][0][0] + alone[1][0][1]) / 2
    np.testing.assert_allclose(beliefs[0], mean - np.log(np.exp(mean).sum()), atol=1e-6)
    np.testing.assert_allclose(beliefs[1], alone[0][0][1], atol=1e-6)
    np.testing.assert_allclose(joint[1][~np.eye(3, dtype=bool)], alone[1][1][0][~np.eye(3, dtype=bool)], atol=1e-6)
