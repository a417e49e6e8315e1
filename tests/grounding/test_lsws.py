"""LSWS: one message in a text graph by hand, the vocabulary, one refinement by hand, and what it learns."""

import math

import torch
from others import check_padding_and_order, check_without_triplets, learnt

from groundgraph.grounding.layers import batch_vocabulary
from groundgraph.grounding.lsws import GraphContext, Lsws, refinement


def test_context_is_a_softmax_over_the_edges_that_reach_an_entity():
    torch.manual_seed(0)
    layer = GraphContext(4, 0.5).eval()
    nodes, predicates = torch.randn(1, 3, 4), torch.randn(1, 2, 4)
    triplets, mask = torch.tensor([[[0, 1], [0, 0]]]), torch.tensor([[True, False]])
    assert torch.equal(layer(nodes, predicates, triplets, mask), nodes)  # as training begins
    torch.nn.init.normal_(layer.message.weight)
    found = layer(nodes, predicates, triplets, mask)[0]

    a, b, c = nodes[0]
    word, none = predicates[0, 0], torch.zeros(4)
    reached = {0: [(word, a, b), (none, a, a)], 1: [(word, b, a), (none, b, b)], 2: [(none, c, c)]}
    for place, edges in reached.items():
        x = torch.stack([torch.cat(edge) for edge in edges])
        shares = (x @ layer.weigh.weight[0] + layer.weigh.bias).softmax(0)
        message = x @ layer.message.weight.T + layer.message.bias
        assert torch.allclose(found[place], nodes[0, place] + shares @ message, atol=1e-5)


def test_the_vocabulary_is_the_other_images_entities():
    torch.manual_seed(0)
    queries, classes, bias = torch.randn(3, 2, 4), torch.randn(3, 2, 4), torch.randn(3, 2)
    real = torch.tensor([[True, True], [True, False], [True, True]])
    asked = torch.tensor([[True, True], [True, True], [True, False]])
    own, rest = batch_vocabulary(queries, asked, classes, bias, real)
    assert rest[2, 1] == 0 and (own[2, 1] == 0).all()
    logit = lambda q, k: (torch.dot(q, classes[k]) / 2 + bias[k]).item()  # noqa: E731
    assert math.isclose(own[0, 1, 0], logit(queries[0, 1], (0, 0)), rel_tol=1e-4)
    strange = [(1, 0), (2, 0), (2, 1)]
    assert math.isclose(rest[0, 1], math.log(sum(math.exp(logit(queries[0, 1], k)) for k in strange)), rel_tol=1e-4)


def test_one_refinement_by_hand():
    fit = torch.tensor([[[0.0, 5.0, 9.0], [0.0, 4.0, 9.0]]])  # both entities label region 1; region 2 is padding
    regions, entities = torch.tensor([[True, True, False]]), torch.tensor([[True, True]])
    logits = torch.tensor([[[1.0, 2.0], [0.5, -1.0], [0.0, 0.0]]])  # [B, V, E]
    rest, background = torch.tensor([[0.3, 0.7, 0.0]]), torch.tensor(0.2)
    loss, known = refinement(fit, logits, rest, background, entities, regions)

    e = math.exp
    said = lambda v, i: math.log(e(logits[0, v, i]) / (e(logits[0, v, i]) + e(rest[0, v]) + e(0.2)))  # noqa: E731
    nothing = math.log(e(0.2) / (e(0.2) + e(0.3) + e(1.0) + e(2.0)))
    assert math.isclose(loss, -(nothing + (said(1, 0) + said(1, 1)) / 2) / 2, rel_tol=1e-5)
    assert math.isclose(known[0, 1, 0], said(0, 1), rel_tol=1e-5)


def test_padding_and_order():
    check_padding_and_order(Lsws)
    check_padding_and_order(Lsws, contrast_weight=1.0)


def test_without_triplets():
    check_without_triplets(Lsws)
    check_without_triplets(Lsws, contrast_weight=1.0)


def test_learns_from_which_caption_goes_with_which_image():
    assert learnt("lsws", epochs=15) > 0.5  # chance is 0.2
