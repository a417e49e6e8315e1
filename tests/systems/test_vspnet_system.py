"""VSPNet as a system: its costs and contrast by hand, a plain re-statement of it, its graphs, and what it learns."""

import dataclasses
import math

import numpy as np
import pytest
import torch
from system_world import CATEGORIES, EVEN, SIZES, scene, step, untrained
from torch.nn.functional import leaky_relu

from groundgraph.sgg.batch import collate
from groundgraph.sgg.inference import InferenceConfig, predict
from groundgraph.systems.contrast import category_contrast, evidence, exclusive_log_p, own_log_p
from groundgraph.systems.graphs import graph_of
from groundgraph.systems.text_graphs import TextGraph, system_batch
from groundgraph.systems.vspnet import (
    GUIDE_WEIGHT,
    ImageGraph,
    best_pairs,
    costs,
    shown_with,
    thing_costs,
    thing_roles,
)

pytestmark = pytest.mark.usefixtures("one_thread")


def restated(model, regions):
    """Entity logits, predicate logits and role weights of one image: the published formulas, node by node."""
    d, passing = model.config.states, model.passing
    logits = lambda names, x: names.weight @ x / math.sqrt(names.weight.shape[1]) + names.bias  # noqa: E731
    entities, predicates = [], list(passing.start)
    for feature, box in zip(torch.from_numpy(regions.features), torch.from_numpy(regions.boxes) / 100, strict=True):
        x1, y1, x2, y2 = box
        place = torch.stack([(x1 + x2) / 2, (y1 + y2) / 2, x2 - x1, y2 - y1, *box, (x2 - x1) * (y2 - y1)])
        x = (feature - model.inputs.mean) / model.inputs.scale
        entities.append(leaky_relu(model.look(x)) + leaky_relu(model.place(place)))
    alone = [logits(model.categories, model.name_entity(x)) for x in entities]  # ours
    for turn in range(model.config.rounds):
        keys = [[k(x).view(2, d) for x in nodes] for k, nodes in zip(passing.keys, (entities, predicates), strict=True)]
        raw = torch.stack([torch.stack([key_p @ key_e.T for key_e in keys[0]]) for key_p in keys[1]])  # [P, V, 2, 2]
        raw = raw.diagonal(dim1=2, dim2=3).exp().pow(d**-0.5)  # [P, V, role]
        weights = (raw / (1 + raw.sum(2, keepdim=True))) * (raw / (1 + raw.sum(1, keepdim=True)))
        sent_e = [leaky_relu(passing.send[0](x)) for x in entities]
        sent_p = [leaky_relu(passing.send[1](x)) for x in predicates]
        to_p = [
            torch.cat([sum(weights[p, v, r] * sent_e[v] for v in range(len(entities))) for r in range(2)])
            for p in range(len(predicates))
        ]
        to_e = [
            torch.cat([sum(weights[p, v, r] * sent_p[p] for p in range(len(predicates))) for r in range(2)])
            for v in range(len(entities))
        ]
        got_p = [leaky_relu(passing.receive[0](leaky_relu(passing.pool[0](m)))) for m in to_p]
        got_e = [leaky_relu(passing.receive[1](leaky_relu(passing.pool[1](m)))) for m in to_e]
        predicates = [passing.update[1](m[None], x[None])[0] for m, x in zip(got_p, predicates, strict=True)]
        if turn:
            entities = [passing.update[0](m[None], x[None])[0] for m, x in zip(got_e, entities, strict=True)]
    return (
        torch.stack(
            [own + logits(model.categories, model.name_entity(x)) for own, x in zip(alone, entities, strict=True)]
        ),
        torch.stack([logits(model.predicates, model.name_predicate(x)) for x in predicates]),
        weights.permute(2, 0, 1),
    )


def test_a_forward_pass_is_the_published_formulas():
    model = untrained("vspnet")
    regions = [scene(seed)[0] for seed in (1, 2)]
    graph = model(collate(regions))
    for i, own in enumerate(regions):
        entities, predicates, weights = restated(model, own)
        assert torch.allclose(graph.entities[i], entities, atol=1e-4)
        assert torch.allclose(graph.predicates[i], predicates, atol=1e-4)
        assert torch.allclose(graph.roles[i].exp(), weights, atol=1e-4)


def test_costs_by_hand():
    batch, model = step(), untrained("vspnet")
    graph = model(batch.images)
    table = costs(graph, batch)
    p = graph.entities[1, 3].softmax(-1)[batch.categories[1, 2]]
    assert math.isclose(table.entity[1, 2, 3].item(), -math.log(p), rel_tol=1e-4)
    p = graph.predicates[0, 4].softmax(-1)[batch.predicates[0, 0]]
    assert math.isclose(table.predicate[0, 0, 4].item(), -math.log(p), rel_tol=1e-4)
    assert torch.equal(table.role, -graph.roles)


def test_losses_are_the_mean_costs_of_what_is_aligned():
    batch, model = step(), untrained("vspnet", contrast_weight=0.0)
    losses, graph = model.losses(batch), model(batch.images)
    assert all(torch.isfinite(value) for value in losses.values())
    # No alignment costs less than the nodes' own best, nor more than the worst.
    table = costs(graph, batch).entity[batch.entities]
    assert table.amin(1).mean() - 1e-6 <= losses["entity"] <= table.amax(1).mean()
    # An image of one entity, no relation: it is aligned with its cheapest region, the others are none of the graph's.
    regions, whole, _, _ = scene(5)
    one = system_batch([regions], [TextGraph(whole.categories[:1], np.zeros((0, 3), np.int64))], CATEGORIES, EVEN)
    graph, losses = model(one.images), model.losses(one)
    cost = costs(graph, one).entity[0, 0]
    assert torch.isclose(losses["entity"], cost.min()) and losses["predicate"] == losses["role"] == 0
    sure = graph.confidences[0][0].sigmoid()
    aligned = torch.arange(5) == cost.argmin()
    assert torch.isclose(losses["entity_confidence"], -torch.where(aligned, sure, 1 - sure).log().mean(), rtol=1e-4)
    assert torch.isclose(losses["predicate_confidence"], -(1 - graph.confidences[1].sigmoid()).log().mean(), rtol=1e-4)


def test_the_contrast_by_hand():
    batch = step()
    logits = torch.randn(3, 5, CATEGORIES, generator=torch.Generator().manual_seed(1))
    expected = []
    for image, place in batch.entities.nonzero().tolist():
        c = int(batch.categories[image, place])
        score = lambda i, c=c: sum(math.exp(logits[i, v, c]) for v in range(5)) / 5  # noqa: E731
        rivals = [score(i) for i in range(3) if not batch.mentioned[i, c]]
        expected.append(-math.log(score(image) / (score(image) + sum(rivals))))
    assert math.isclose(category_contrast(logits, batch), sum(expected) / len(expected), rel_tol=1e-4)


def test_an_entitys_probability_among_its_images_own_by_hand():
    batch = step()
    logits = torch.randn(3, 5, CATEGORIES, generator=torch.Generator().manual_seed(1))
    table = own_log_p(logits, batch)
    named = set(batch.categories[1][batch.entities[1]].tolist())
    c = int(batch.categories[1, 2])
    p = math.exp(logits[1, 3, c]) / sum(math.exp(logits[1, 3, k]) for k in named)
    assert math.isclose(table[1, 2, 3].item(), math.log(p), rel_tol=1e-4, abs_tol=1e-6)
    total = 1 / p * math.exp(logits[1, 3, c])
    p = math.exp(logits[1, 3, c]) / (total + math.exp(2.0))
    assert math.isclose(own_log_p(logits, batch, nothing=2.0)[1, 2, 3].item(), math.log(p), rel_tol=1e-4)


def test_evidence_is_less_what_silent_images_have_by_hand():
    batch = step()
    logits = torch.randn(3, 5, CATEGORIES, generator=torch.Generator().manual_seed(1))
    table = evidence(logits, batch)
    silent = {c: [i for i in range(3) if not batch.mentioned[i, c]] or [0, 1, 2] for c in range(CATEGORIES)}
    for c, images in silent.items():
        level = math.log(sum(math.exp(logits[i, v, c]) for i in images for v in range(5)) / (5 * len(images)))
        assert math.isclose(table[1, 3, c].item(), logits[1, 3, c].item() - level, rel_tol=1e-3, abs_tol=1e-4)
    assert torch.allclose(evidence(logits + torch.arange(6.0), batch), table, atol=1e-4)


def test_an_exclusive_probability_by_hand():
    logits = torch.tensor([[[0.0, 1.0, 2.0], [-1.0, 0.0, 0.0]]])
    log_p = exclusive_log_p(logits)
    assert math.isclose(log_p[0, 0, 1].item(), 1 - math.log(2 + math.e + math.e**2), rel_tol=1e-5)
    assert math.isclose(log_p[0, 1, 0].item(), -1 - math.log(3 + 1 / math.e), rel_tol=1e-5)


def test_what_another_category_explains_is_less_probable():
    """Regions 0 and 1 look like the second category alike, but 0 looks like the first too."""
    logits = torch.zeros(1, 2, CATEGORIES)
    logits[0, 0, :2] = logits[0, 1, 1] = 4.0
    log_p = exclusive_log_p(logits)
    both, alone = 2 * math.exp(4) + CATEGORIES - 1, math.exp(4) + CATEGORIES
    assert math.isclose((log_p[0, 1, 1] - log_p[0, 0, 1]).item(), math.log(both / alone), rel_tol=1e-4)


def test_a_lone_entity_goes_where_the_contrasts_head_has_it():
    regions, whole, _, _ = scene(5)
    batch = system_batch([regions], [TextGraph(whole.categories[:1], np.zeros((0, 3), np.int64))], CATEGORIES, EVEN)
    model = untrained("vspnet")
    with torch.no_grad():
        model.contrast.head.weight.normal_(std=3, generator=torch.Generator().manual_seed(2))
        logits = model.categories(model.contrast(model.inputs(batch.images.features)))[0]
        p = logits.exp()[:, batch.categories[0, 0]] / (1 + logits.exp().sum(-1))
        table = costs(model(batch.images), batch).entity[0, 0]
    expected = (table - GUIDE_WEIGHT * p.log()).argmin()
    assert expected != table.argmin() and torch.isclose(model.losses(batch)["entity"], table[expected])


def test_regions_of_one_thing_share_what_it_is_taught_by_hand():
    """Of five regions 0 and 1 show one thing; what is aligned with 1 costs their mean, and both have its roles."""
    model, regions = untrained("vspnet"), scene(3)[0]
    boxes = regions.boxes.copy()
    boxes[1] = boxes[0] + [0, 0, 4, 0]  # IoU 20 / 24
    batch = collate([dataclasses.replace(regions, boxes=boxes)])
    same = model.same_thing(batch)
    assert same[0].tolist() == [[i == j or {i, j} == {0, 1} for j in range(5)] for i in range(5)]
    chosen = torch.tensor([[1, 3]])
    assert shown_with(chosen, same)[0].int().tolist() == [[1, 1, 0, 0, 0], [0, 0, 0, 1, 0]]
    table = torch.arange(10.0).view(1, 2, 5)
    assert thing_costs(table, chosen, same).tolist() == [[0.5, 8.0]]
    weights = torch.tensor([0.1, 0.2, 0.3, 0.0, 0.4])
    roles = thing_roles(weights.log().expand(1, 2, 3, 5), same)
    assert torch.allclose(roles.exp()[0, 1, 2], torch.tensor([0.3, 0.3, 0.3, 0.0, 0.4]), atol=1e-6)
    assert roles.isfinite().all()
    strict = untrained("vspnet", overlap=1.0).same_thing(batch)
    assert torch.equal(strict[0], torch.eye(5, dtype=torch.bool))


def test_a_triplet_teaches_as_many_nodes_as_is_asked_for():
    """One triplet, six nodes that all learn it: its predicate's loss is their mean, and all shall be sure."""
    regions, whole, _, _ = scene(1)
    batch = system_batch([regions], [TextGraph(whole.categories, np.array([[0, 1, 1]]))], CATEGORIES, EVEN)
    assert batch.with_repeated_triplets(2).triplets.tolist() == [[[0, 1], [0, 1]]]
    model = untrained("vspnet", contrast_weight=0.0, nodes_per_triplet=6)
    losses, table = model.losses(batch), costs(model(batch.images), batch).predicate[0, 0]
    assert torch.isclose(losses["predicate"], table.mean())
    sure = model(batch.images).confidences[1][0].sigmoid()
    assert torch.isclose(losses["predicate_confidence"], -sure.log().mean(), rtol=1e-4)


def test_a_nodes_best_pairs_by_hand():
    """Two nodes over three regions, of which 2 has fallen: the product of the weights ranks the two pairs left."""
    weights = torch.tensor([[[[0.4, 0.1, 0.5]] * 2, [[0.2, 0.6, 0.2]] * 2]])
    allowed = torch.tensor([[[False, True, False], [True, False, False], [False] * 3]])
    pairs, strength = best_pairs(weights.log(), allowed, 4)
    assert pairs[0, 0, :2].tolist() == [[0, 1], [1, 0]] and pairs.shape == (1, 2, 4, 2)
    assert torch.allclose(strength[0, 1], torch.tensor([1.0, 0.1 * 0.2 / (0.4 * 0.6), 0.0, 0.0]))
    assert (pairs[0, :, 2:, 0] == pairs[0, :, 2:, 1]).all()
    assert best_pairs(weights.log(), allowed, 99)[0].shape == (1, 2, 9, 2)
    nothing = best_pairs(weights.log(), torch.zeros_like(allowed), 2)
    assert (nothing[1] == 0).all() and (nothing[0][..., 0] == nothing[0][..., 1]).all()


def test_triplets_are_read_off_the_predicate_nodes(monkeypatch):
    """Three nodes over four regions that say a pair each: two say the same, one the pair that it is surest of."""
    model, regions = untrained("vspnet", pairs_per_node=1), scene(3)[0]
    entities = torch.full((1, 5, CATEGORIES), -9.0)
    entities[0, range(5), [2, 3, 4, 5, 5]] = 9.0
    roles = torch.full((1, 2, 3, 5), -9.0)
    roles[0, 0, :, 0] = roles[0, 1, 0, 1] = roles[0, 1, 1, 1] = roles[0, 1, 2, 2] = -0.1
    roles[0, 1, 2, 0] = 0.0  # nothing relates to itself, however strong
    predicates = torch.tensor([[[2.0, 0.0], [0.0, 1.0], [0.0, 3.0]]])
    confidences = torch.zeros(1, 5), torch.tensor([[0.0, 2.0, -1.0]])
    graph = ImageGraph(entities, predicates, roles, confidences)
    monkeypatch.setattr(type(model), "forward", lambda self, batch: graph)
    (found,) = predict(model, [regions], InferenceConfig())
    assert found.labels.tolist() == [3, 4, 5, 6, 6] and found.pairs.tolist() == [[0, 1], [0, 2]]
    sure, said = 1 / (1 + math.exp(-2)), math.e / (1 + math.e)
    assert np.allclose(found.predicate_scores[0], [1 - sure, sure * (1 - said), sure * said], atol=1e-5)
    (one,) = predict(model, [regions], InferenceConfig(pairs=1))
    assert one.pairs.tolist() == [[0, 1]]


def test_a_graph_keeps_each_pair_once_and_no_fallen_box():
    boxes, stays = np.arange(12, dtype=np.float32).reshape(3, 4), np.array([True, False, True])
    pairs = np.array([[0, 2], [0, 2], [0, 1], [2, 2], [2, 0]])
    scores = np.array([[0.5, 0.5], [0.2, 0.8], [0, 1], [0, 1], [0.9, 0.1]])
    graph = graph_of(boxes, np.array([1, 2, 3]), np.array([0.5, 1, 1]), stays, pairs, scores, 9)
    assert graph.labels.tolist() == [1, 3] and graph.boxes.tolist() == boxes[[0, 2]].tolist()
    assert graph.pairs.tolist() == [[0, 1], [1, 0]] and graph.predicate_scores.tolist() == [[0.2, 0.8], [0.9, 0.1]]


def test_given_boxes_all_stay():
    model, (regions, _, labels, _) = untrained("vspnet"), scene(4)
    (found,) = predict(model, [regions], task="sgcls")
    assert found.boxes.tolist() == regions.boxes.tolist()
    (found,) = predict(model, [regions], task="predcls", labels=[np.append(labels, 1)])
    assert found.labels.tolist() == [*labels.tolist(), 1] and (found.scores == 1).all()
    assert SIZES.predicates + 1 == found.predicate_scores.shape[1]
