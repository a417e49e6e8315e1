"""Text graphs and one-to-one matching against every possible assignment."""

from itertools import permutations

import torch

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
    found = one_to_one(scores, graphs, entities, regions)
    for s, f in zip(scores, found, strict=True):
        best = max(permutations(range(5), 3), key=lambda p: sum(s[i, j] for i, j in enumerate(p)))
        assert tuple(f[:3].tolist()) == best
        assert f[3] == 0  # in a graph of its own, it does not compete


def test_more_entities_than_regions_and_padded_entities():
    scores = torch.tensor([[[2.0, 1.0], [5.0, 0.0], [9.0, 0.0]], [[2.0, 1.0], [5.0, 0.0], [9.0, 0.0]]])
    graphs = torch.zeros(2, 3, dtype=torch.int64)
    entities = torch.tensor([[True, True, True], [True, True, False]])
    regions = torch.ones(2, 2, dtype=torch.bool)
    found = one_to_one(scores, graphs, entities, regions)
    assert found[0].tolist() == [1, 0, 0]  # 1 + 9 is the best pair; the one left out keeps its best
    assert found[1, :2].tolist() == [1, 0]


def test_the_match_exchanges_its_score_with_the_best():
    scores = torch.tensor([[[3.0, 1.0, 2.0, 9.0], [1.0, 2.0, 0.0, 9.0]]])
    regions = torch.tensor([[True, True, True, False]])
    first = match_first(scores, torch.tensor([[2, 1]]), regions)
    assert first.tolist() == [[[2.0, 1.0, 3.0, 9.0], [1.0, 2.0, 0.0, 9.0]]]
