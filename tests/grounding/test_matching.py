"""Text graphs and one-to-one matching against every possible assignment."""

from itertools import permutations

import pytest
import torch

from groundgraph.grounding.looped_matching import assignment, looped_matching
from groundgraph.grounding.matching import match_first, one_to_one, text_graphs


def test_a_text_graph_is_what_triplets_join():
    triplets = torch.tensor([[[4, 3], [3, 1], [0, 2]]])
    mask = torch.tensor([[True, True, False]])
    assert text_graphs(torch.ones(1, 6, dtype=torch.bool), triplets, mask).tolist() == [[0, 1, 2, 1, 1, 5]]


def test_a_long_chain_is_one_graph():
    chain = torch.stack([torch.arange(8), torch.arange(1, 9)], 1)[None]
    entities = torch.ones(1, 9, dtype=torch.bool)
    assert text_graphs(entities, chain, torch.ones(1, 8, dtype=torch.bool)).tolist() == [[0] * 9]


def test_matching_is_the_best_of_all_assignments():
    torch.manual_seed(0)
    scores = torch.rand(20, 4, 6) + torch.tensor([3.0, 0, 0, 0, 0, 2])  # most entities want region 0
    graphs = torch.tensor([0, 0, 0, 3]).expand(20, -1)
    entities = torch.ones(20, 4, dtype=torch.bool)
    regions = torch.ones(20, 6, dtype=torch.bool)
    regions[:, 5] = False
    matches = one_to_one(scores, graphs, entities, regions)
    for s, f in zip(scores, matches, strict=True):
        best = max(permutations(range(5), 3), key=lambda p: sum(s[i, j] for i, j in enumerate(p)))
        assert tuple(f[:3].tolist()) == best
        assert f[3] == 0  # in a graph of its own, it does not compete


def test_more_entities_than_regions_and_padded_entities():
    scores = torch.tensor([[[2.0, 1.0], [5.0, 0.0], [9.0, 0.0]], [[2.0, 1.0], [5.0, 0.0], [9.0, 0.0]]])
    graphs = torch.zeros(2, 3, dtype=torch.int64)
    entities = torch.tensor([[True, True, True], [True, True, False]])
    regions = torch.ones(2, 2, dtype=torch.bool)
    matches = one_to_one(scores, graphs, entities, regions)
    assert matches[0].tolist() == [1, 0, 0]  # 1 + 9 is the best pair; the one left out keeps its best
    assert matches[1, :2].tolist() == [1, 0]


def test_an_assignment_has_the_least_sum():
    generator = torch.Generator().manual_seed(0)
    for rows, columns in ((1, 1), (3, 3), (4, 6), (5, 7)):
        costs = torch.randn(rows, columns, generator=generator, dtype=torch.float64)
        costs[:, 0] -= 3  # all want it
        least = min(sum(costs[i, j] for i, j in enumerate(p)) for p in permutations(range(columns), rows))
        assert costs.gather(1, assignment(costs)[:, None]).sum().item() == pytest.approx(least.item())


def test_loops_of_tensors_match_as_scipy_does():
    generator = torch.Generator().manual_seed(0)
    for entities, regions, triplets in ((1, 1, 0), (5, 3, 4), (8, 12, 6), (12, 36, 10)):
        scores = 3 * torch.randn(1, entities, regions, generator=generator)
        real = torch.rand(1, entities, generator=generator) > 0.15
        every = torch.ones(1, regions, dtype=torch.bool)
        joined = torch.randint(0, entities, (1, triplets, 2), generator=generator)
        graphs = text_graphs(real, joined, torch.rand(1, triplets, generator=generator) > 0.3)
        matched, expected = (match(scores, graphs, real, every) for match in (looped_matching, one_to_one))
        assert torch.equal(matched[real], expected[real])


def test_the_match_exchanges_its_score_with_the_best():
    scores = torch.tensor([[[3.0, 1.0, 2.0, 9.0], [1.0, 2.0, 0.0, 9.0]]])
    regions = torch.tensor([[True, True, True, False]])
    first = match_first(scores, torch.tensor([[2, 1]]), regions)
    assert first.tolist() == [[[2.0, 1.0, 3.0, 9.0], [1.0, 2.0, 0.0, 9.0]]]
