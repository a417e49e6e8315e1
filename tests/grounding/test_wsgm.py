"""WSGM: the score of an image and a graph by hand, its contrast, and what it learns."""

from itertools import permutations

import torch
from others import built, check_padding_and_order, check_without_triplets, learnt, world

from groundgraph.grounding.batches import Step
from groundgraph.grounding.data import pad
from groundgraph.grounding.wsgm import Wsgm


def by_hand(model, batch):
    """S(G, I): entities 0 and 1 share a graph, 2 is alone; every assignment is tried."""
    h, v = model.encode(batch)
    table = torch.zeros(len(h), len(v))
    for g, entities in enumerate(h):
        for i, regions in enumerate(v):
            cosine = torch.stack([torch.stack([torch.dot(a, b) for b in regions]) for a in entities])
            pair = max(cosine[0, a] + cosine[1, b] for a, b in permutations(range(len(regions)), 2))
            table[g, i] = (pair + cosine[2].max()) / 3
    return table


def test_an_image_and_a_graph_score_the_mean_cosine_of_their_best_matching():
    model, batch = built(Wsgm), pad(world(4, 2)[0])
    assert torch.allclose(model.similarity(batch)[0], by_hand(model, batch), atol=1e-5)


def test_the_contrast_is_a_cross_entropy_both_ways():
    model, batch = built(Wsgm, wsgm={"temperature": 0.5}), pad(world(4, 2)[0])
    p = (by_hand(model, batch) / 0.5).exp()
    graphs, images = p.diagonal() / p.sum(1), p.diagonal() / p.sum(0)
    expected = -(graphs.log().mean() + images.log().mean()) / 2
    assert torch.allclose(model.losses(Step(batch, batch, 0))["contrast"], expected, atol=1e-5)


def test_each_entitys_contrast_is_over_cosines_and_temperature():
    data, _ = world(4, 2)
    model, batch = built(Wsgm, contrast_weight=2.0), pad(data)
    h, v = model.encode(batch)
    losses = []
    for g, entities in enumerate(h):
        for entity in entities:
            p = torch.stack([(regions @ entity / 0.1).exp().mean() for regions in v])
            losses.append(-(p[g] / p.sum()).log())
    found = model.losses(Step(batch, batch, 0))["entity_contrast"]
    assert torch.allclose(found, 2 * torch.stack(losses).mean(), atol=1e-4)


def test_two_entities_of_one_graph_never_rank_one_region_first():
    model, batch = built(Wsgm), pad(world(20, 2)[0])
    best = model.score(batch).argmax(-1)
    assert (best[:, 0] != best[:, 1]).all()


def test_padding_and_order():
    check_padding_and_order(Wsgm)
    check_padding_and_order(Wsgm, contrast_weight=1.0)


def test_without_triplets():
    check_without_triplets(Wsgm)
    check_without_triplets(Wsgm, contrast_weight=1.0)


def test_learns_from_which_caption_goes_with_which_image():
    assert learnt("wsgm", epochs=8) > 0.7  # chance is 0.2
