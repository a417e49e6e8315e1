"""VSPNet: role edges and one round of messages by hand, the costs of roles, the alignment, and what it learns."""

from itertools import permutations, product

import torch
from others import NOUNS, check_padding_and_order, check_without_triplets, learnt, world
from torch.nn.functional import leaky_relu

from groundgraph.grounding import GroundingConfig
from groundgraph.grounding.batches import Step
from groundgraph.grounding.contrast import log_attention
from groundgraph.grounding.data import GroundingImage, pad
from groundgraph.grounding.layers import batch_vocabulary, mean_where
from groundgraph.grounding.matching import one_to_one, text_graphs
from groundgraph.grounding.vspnet import Costs, RolePassing, Vspnet, align, aligned, entity_roles, predicate_roles


def passing(rounds):
    torch.manual_seed(0)
    return RolePassing(4, 3, rounds), torch.randn(1, 2, 4), torch.ones(1, 2, dtype=torch.bool)


def test_a_role_edge_is_a_softmax_over_roles_times_one_over_regions():
    layer, states, regions = passing(1)
    found = layer.edges(states, layer.start[None], regions)[0].exp()
    keys = [k(x).view(-1, 2, 4) for k, x in zip(layer.keys, (states[0], layer.start), strict=True)]
    for r, p, v in product(range(2), range(3), range(2)):
        logit = lambda r, v, p=p: (torch.dot(keys[1][p, r], keys[0][v, r]) / 2).exp()  # noqa: E731
        roles, places = logit(0, v) + logit(1, v) + 1, logit(r, 0) + logit(r, 1) + 1  # 1: none
        assert torch.allclose(found[r, p, v], logit(r, v) ** 2 / roles / places, atol=1e-5)


def test_two_rounds_of_messages():
    layer, entities, regions = passing(2)
    found = layer(entities, regions)
    x, p = entities[0], layer.start
    for turn in range(2):
        weights = layer.edges(x[None], p[None], regions)[0].exp()
        sent = [leaky_relu(s(y)) for s, y in zip(layer.send, (x, p), strict=True)]
        to_p = torch.stack(
            [torch.cat([sum(weights[r, i, j] * sent[0][j] for j in range(2)) for r in range(2)]) for i in range(3)]
        )
        to_x = torch.stack(
            [torch.cat([sum(weights[r, i, j] * sent[1][i] for i in range(3)) for r in range(2)]) for j in range(2)]
        )
        got = [leaky_relu(c(leaky_relu(q(y)))) for c, q, y in zip(layer.receive, layer.pool, (to_p, to_x), strict=True)]
        p = layer.update[1](got[0], p)
        x = layer.update[0](got[1], x) if turn else x
    assert torch.allclose(found[0][0], x, atol=1e-5) and torch.allclose(found[1][0], p, atol=1e-5)


def graph(seed=0):
    """One image: entities 0-1-2 joined by two triplets, 4 regions, 3 predicate nodes; random costs."""
    generator = torch.Generator().manual_seed(seed)
    ones = [torch.ones(n, 2).numpy() for n in (3, 4, 2)]
    image = GroundingImage(ones[0], ones[1], torch.zeros(3, 4).numpy(), None, None, [[0, 1], [1, 2]], ones[2])
    shapes = ((1, 3, 4), (1, 2, 3), (1, 2, 3, 4))
    return pad([image]), Costs(*(torch.rand(*s, generator=generator) for s in shapes))


def test_what_roles_cost():
    batch, costs = graph()
    graphs = text_graphs(batch.entities, batch.triplets, batch.triplet_mask)
    role, regions, nodes = costs.role[0], torch.tensor([[2, 0, 3]]), torch.tensor([[1, 2]])
    of_entities = entity_roles(costs, batch, nodes, graphs)[0]
    assert torch.allclose(of_entities[0], role[0, 1] / 4)  # subject of the first triplet, of four roles
    assert torch.allclose(of_entities[1], (role[1, 1] + role[0, 2]) / 4)
    of_predicates = predicate_roles(costs, batch, regions)[0]
    assert torch.allclose(of_predicates[1], (role[0, :, 0] + role[1, :, 3]) / 2)
    entity, predicate, roles = aligned(costs, batch, regions, nodes)
    assert torch.allclose(entity[0], costs.entity[0, [0, 1, 2], [2, 0, 3]])
    assert torch.allclose(predicate[0], costs.predicate[0, [0, 1], [1, 2]])
    assert torch.allclose(roles[0, 0], (role[0, 1, 2] + role[1, 1, 0]) / 2)


def test_each_kind_is_best_given_the_other():
    for seed in range(5):
        batch, costs = graph(seed)
        graphs = text_graphs(batch.entities, batch.triplets, batch.triplet_mask)
        regions, nodes = align(costs, batch, 5)
        own = (costs.entity + entity_roles(costs, batch, nodes, graphs))[0]
        least = min(sum(own[i, j] for i, j in enumerate(p)) for p in permutations(range(4), 3))
        assert torch.allclose(own[range(3), regions[0]].sum(), least)
        own = (costs.predicate + predicate_roles(costs, batch, regions))[0]
        least = min(sum(own[i, j] for i, j in enumerate(p)) for p in permutations(range(3), 2))
        assert torch.allclose(own[range(2), nodes[0]].sum(), least)


def test_padding_and_order():
    check_padding_and_order(Vspnet)
    check_padding_and_order(Vspnet, contrast_weight=1.0)
    check_padding_and_order(Vspnet, contrast_weight=1.0, vspnet={"guided": 1})


def test_without_triplets():
    check_without_triplets(Vspnet)
    check_without_triplets(Vspnet, contrast_weight=1.0)
    check_without_triplets(Vspnet, contrast_weight=1.0, vspnet={"guided": 1})


def test_learns_from_which_caption_goes_with_which_image():
    assert learnt("vspnet", epochs=12) > 0.6  # chance is 0.2


def guided(weight, share):
    """A grounder of 10 epochs, and a batch."""
    torch.manual_seed(0)
    config = GroundingConfig(dimension=8, dropout=0, epochs=10, contrast_weight=weight, vspnet={"guided": share})
    return Vspnet(NOUNS, NOUNS, config), pad(world(3, 4)[0])


def test_log_attention_by_hand():
    words, regions = (
        torch.tensor([[[1.0, 0.0, 0.0, 2.0]]]),
        torch.tensor([[[2.0, 9, 9, 0], [0, 9, 9, 2], [9, 9, 9, 9]]]),
    )
    logits = torch.tensor([2.0, 4.0]) / 2
    found = log_attention(words, regions, torch.tensor([[True, True, False]]))
    assert torch.allclose(found[0, 0, :2], logits.log_softmax(0), atol=1e-5) and found[0, 0, 2] < -1e3


def test_entities_go_where_the_guide_has_them_in_the_first_epochs():
    model, batch = guided(1.0, 0.3)
    model.guide.regions.head.weight.data.mul_(1e4)  # far surer than any node
    words, regions = model.guide(*model.look(batch))
    *embedded, _ = model.read(batch)
    own, rest = batch_vocabulary(embedded[0][0], batch.regions, embedded[1][0], embedded[2][0], batch.entities)
    cost = torch.nn.functional.softplus(rest.unsqueeze(-1) - own).transpose(1, 2)
    graphs = text_graphs(batch.entities, batch.triplets, batch.triplet_mask)
    best = one_to_one(log_attention(words, regions, batch.regions), graphs, batch.entities, batch.regions)
    chosen = cost.gather(2, best.unsqueeze(-1)).squeeze(-1)
    expected = mean_where(chosen, batch.entities)
    assert torch.allclose(model.losses(Step(batch, batch, 2))["entity"], expected, atol=1e-4)
    late, validation = (model.losses(Step(batch, batch, epoch)) for epoch in (3, None))
    assert not torch.allclose(late["entity"], expected, atol=1e-4)
    assert all(torch.allclose(late[name], validation[name]) for name in late)


def test_the_contrast_teaches_the_guide_first_and_then_the_nodes():
    model, batch = guided(1.0, 0.3)
    for epoch, learns in ((2, True), (3, False)):
        model.zero_grad(set_to_none=True)
        model.losses(Step(batch, batch, epoch))["entity_contrast"].backward()
        assert (model.guide.words.weight.grad is not None) == learns
        assert (model.heads[0].weight.grad is not None) != learns


def test_there_is_no_guide_where_nothing_teaches_it():
    assert guided(0.0, 0.3)[0].guide is None and guided(1.0, 0.0)[0].guide is None
