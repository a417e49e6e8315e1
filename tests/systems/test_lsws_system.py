"""LSWS as a system: its labels by hand, a plain re-statement of it, beam search against all triplets, its graphs."""

import math

import numpy as np
import pytest
import torch
from system_world import CATEGORIES, scene, step, untrained
from torch.nn.functional import leaky_relu

from groundgraph.sgg.batch import overlaps
from groundgraph.sgg.inference import InferenceConfig, predict
from groundgraph.systems.contrast import evidence, own_log_p
from groundgraph.systems.graphs import completed_graph, named_nodes
from groundgraph.systems.lsws import best_region, region_labels

pytestmark = pytest.mark.usefixtures("one_thread")


def logits_of(names, x):
    return names.weight @ x / math.sqrt(names.weight.shape[1]) + names.bias


def test_what_a_detector_learns_by_hand():
    """Two entities on region 0, which overlaps region 1; the third, on region 2, is padding; region 3 has none."""
    chosen, classes = torch.tensor([[0, 0, 2]]), torch.tensor([[1, 3, 2]])
    near = torch.eye(4, dtype=torch.bool)[None].clone()
    near[0, 0, 1] = near[0, 1, 0] = True
    labels = region_labels(chosen, classes, torch.tensor([[True, True, False]]), near, 4)
    assert labels[0].tolist() == [[0, 0.5, 0, 0.5], [0, 0.5, 0, 0.5], [1, 0, 0, 0], [1, 0, 0, 0]]
    twice = region_labels(torch.tensor([[1, 1]]), torch.tensor([[2, 2]]), torch.ones(1, 2, dtype=torch.bool), near, 4)
    assert twice[0, 0].tolist() == [0, 0, 1, 0]  # the same name from two captions is one label
    fit = torch.tensor([[[1.0, 5.0, 9.0]]])
    assert best_region(fit, torch.tensor([[True, True, False]])).tolist() == [[1]]


def restated_losses(model, batch):
    """The losses of an untrained system (its messages begin as nothing), entity by entity and region by region."""
    grounding, refinement, relation, sequence, regions, entities, triplets = [], 0.0, 0.0, 0.0, 0, 0, 0
    for i in range(len(batch.categories)):
        x = (batch.images.features[i] - model.inputs.mean) / model.inputs.scale
        boxes = batch.images.boxes[i]
        names = batch.categories[i][batch.entities[i]].tolist()
        recognised = [leaky_relu(model.recognise(v)) for v in x]
        fit = []
        for c in names:
            query = model.categories.weight[c]
            attention = torch.stack([query @ model.attend(v) / math.sqrt(len(query)) for v in x]).softmax(0)
            attended = sum(a * r for a, r in zip(attention, recognised, strict=True))
            grounding.append(-logits_of(model.categories, attended).log_softmax(0)[c])
            said = [logits_of(model.categories, r).softmax(0)[c] for r in recognised]
            fit.append([(a * p).item() for a, p in zip(attention, said, strict=True)])

        def overlap(a, b):
            low, high = torch.maximum(a[:2], b[:2]), torch.minimum(a[2:], b[2:])
            shared = (high - low).clamp(min=0).prod()
            return shared / ((a[2:] - a[:2]).prod() + (b[2:] - b[:2]).prod() - shared)

        d = len(model.categories.weight[0])
        for k in range(model.config.refinements):
            labels = [set() for _ in x]
            for e, c in enumerate(names):
                best = int(np.argmax(fit[e]))
                for v in range(len(x)):
                    if overlap(boxes[best], boxes[v]) > 0.5:
                        labels[v].add(c)
            rows = []
            for v in range(len(x)):
                head = leaky_relu(model.detect(x[v]))[k * d : (k + 1) * d]
                row = torch.cat([model.background[k][None], logits_of(model.categories, head)]).log_softmax(0)
                own = [row[1 + c] for c in labels[v]] or [row[0]]
                refinement = refinement - sum(own) / len(own)
                rows.append(row)
            fit = [[row[1 + c].item() for row in rows] for c in names]
        place = [int(np.argmax(f)) for f in fit]
        acts = [
            (s, o, p)
            for (s, o), p, real in zip(
                batch.triplets[i].tolist(), batch.predicates[i].tolist(), batch.triplet_mask[i].tolist(), strict=True
            )
            if real
        ]
        for end in range(2):
            for v in range(len(x)):
                head = leaky_relu(model.relate(x[v])).chunk(2)[end]
                row = torch.cat([model.background[-2 + end][None], logits_of(model.predicates, head)]).log_softmax(0)
                own = {t[2] for t in acts if place[t[end]] == v}
                own = [row[1 + p] for p in own] or [row[0]]
                relation = relation - sum(own) / len(own)
        for s, o, p in acts:
            looks = [leaky_relu(model.look(x[place[e]])) for e in (s, o)]
            words = [model.categories.weight[names[e]] for e in (s, o)]
            none, state = torch.zeros(d), None
            steps = (looks[0], none, names[s]), (looks[1], words[0], names[o]), (none, words[1], p)
            for k, (look, word, target) in enumerate(steps):
                state = model.predictor.cell(torch.cat([look, word])[None], state)
                table = model.predicates if k == 2 else model.categories
                sequence = sequence - logits_of(table, state[0][0]).log_softmax(0)[target]
        regions, entities, triplets = regions + len(x), entities + len(names), triplets + len(acts)
    assert len(grounding) == entities
    return {
        "grounding": sum(grounding) / entities,
        "refinement": 0.5 * refinement / regions,
        "relation": 0.5 * relation / regions,
        "sequence": 0.5 * sequence / triplets,
    }


def test_losses_are_the_published_formulas():
    model, batch = untrained("lsws", contrast_weight=0.0), step(range(3))
    losses, expected = model.losses(batch), restated_losses(model, batch)
    assert losses.keys() == expected.keys()
    for name, value in expected.items():
        assert math.isclose(losses[name].item(), value.item(), rel_tol=1e-3), name


def test_the_contrasts_head_says_what_the_detectors_learn():
    """Beside it, what regions are to each other and to the attention is nothing to them."""
    model, batch = untrained("lsws", refinements=2), step(range(3))
    with torch.no_grad():
        logits = model.categories(model.contrast(model.inputs(batch.images.features)))
        guide = own_log_p(evidence(logits, batch), batch, nothing=0.0)
        near = overlaps(batch.images.boxes) > 0.5
        expected, fit = 0.0, guide
        for log_p in model.detections(model.inputs(batch.images.features)):
            chosen = best_region(fit, batch.regions)
            labels = region_labels(chosen, batch.categories + 1, batch.entities, near, log_p.shape[-1])
            expected -= 0.5 * (labels * log_p).sum(-1)[batch.regions].mean().item()
            fit = guide + own_log_p(log_p[..., 1:], batch)
    losses = model.losses(batch)
    assert math.isclose(losses["refinement"].item(), expected, rel_tol=1e-4)
    torch.nn.init.normal_(model.attend.weight)
    torch.nn.init.normal_(model.recognise.weight)
    assert math.isclose(model.losses(batch)["refinement"].item(), expected, rel_tol=1e-4)


def test_messages_are_dropped_in_training_alone():
    model, batch = untrained("lsws", context_dropout=0.9, contrast_weight=0.0), step()
    torch.nn.init.normal_(model.context.message.weight)
    torch.testing.assert_close(model.losses(batch)["grounding"], model.losses(batch)["grounding"])
    model.train()
    assert not torch.allclose(model.losses(batch)["grounding"], model.losses(batch)["grounding"])


def test_beam_search_finds_what_all_triplets_have():
    """With a beam as wide as the vocabulary the best are those of all pairs of names; a narrow one's are no better."""
    model = untrained("lsws")
    torch.manual_seed(3)
    looks = torch.randn(2, 24), torch.randn(2, 24)
    tables = model.categories, model.predicates
    beams = model.predictor.search(looks, *tables, beam_size=CATEGORIES)
    for n in range(2):
        all_p, predicates = {}, {}
        for s in range(CATEGORIES):
            for o in range(CATEGORIES):
                words = model.categories.weight[[s]], model.categories.weight[[o]]
                states = model.predictor((looks[0][[n]], looks[1][[n]]), words)
                first, second = (model.categories(state)[0].log_softmax(0) for state in states[:2])
                all_p[s, o] = (first[s] + second[o]).item()
                predicates[s, o] = model.predicates(states[2])[0].log_softmax(0)
        best = sorted(all_p, key=all_p.get, reverse=True)[:CATEGORIES]
        found = list(zip(beams.subjects[n].tolist(), beams.objects[n].tolist(), strict=True))
        assert found == best and np.allclose(beams.log_p[n].tolist(), [all_p[pair] for pair in best], atol=1e-4)
        for k, pair in enumerate(best):
            assert torch.allclose(beams.predicates[n, k], predicates[pair], atol=1e-4)
        narrow = model.predictor.search(looks, *tables, beam_size=1)
        assert narrow.log_p[n, 0] <= beams.log_p[n, 0] + 1e-5
    given = model.predictor.predicates_of(looks, torch.tensor([[1, 2], [3, 4]]), *tables)
    assert torch.allclose(given.predicates[1, 0], predicates[3, 4], atol=1e-4) and (given.log_p == 0).all()


def test_another_name_is_another_node():
    nodes, new = named_nodes(np.array([4, 2]), np.array([0, 1, 0, 1, 0]), np.array([4, 3, 5, 2, 5]))
    assert nodes.tolist() == [0, 3, 2, 1, 2]
    assert new.tolist() == [[0, 5], [1, 3]]


def test_a_completed_graph_by_hand():
    """One pair, two beams: (1, 2) as detected and (1, 3), whose object is a node of its own."""
    boxes, detected = np.zeros((2, 4), np.float32), np.array([[0.1, 0.6, 0.2, 0.1], [0.1, 0.1, 0.5, 0.3]])
    graph = completed_graph(
        boxes,
        np.array([1, 2]),
        np.array([0.6, 0.5]),
        np.array([True, True]),
        detected,
        np.array([[0, 1]]),
        np.array([[0, 0]]),
        np.array([[1, 2]]),
        np.log([[0.5, 0.25]]),
        np.log([[[0.75, 0.25], [0.5, 0.5]]]),
        np.array([0.8]),
        10,
    )
    assert graph.labels.tolist() == [1, 2, 3] and graph.scores.tolist() == [0.6, 0.5, 0.3]
    assert graph.pairs.tolist() == [[0, 1], [0, 2]]
    assert np.allclose(graph.predicate_scores, [[0.6, 0.3, 0.1], [0.8, 0.1, 0.1]])
    assert np.allclose(graph.relation_scores, [0.6 * 0.5 * 0.3, 0.6 * 0.3 * 0.1])


def test_graphs_have_the_most_pairs_that_are_asked_for_and_given_boxes_all_stay():
    model, (regions, _, labels, _) = untrained("lsws"), scene(4)
    (found,) = predict(model, [regions], InferenceConfig(pairs=3))
    assert len(found.pairs) == 3 and (np.diff(found.relation_scores) <= 1e-9).all()
    (found,) = predict(model, [regions], task="sgcls")
    assert found.boxes.tolist() == regions.boxes.tolist() and len(found.pairs) == 12
    (found,) = predict(model, [regions], task="predcls", labels=[np.append(labels, 1)])
    assert found.labels.tolist() == [*labels.tolist(), 1] and (found.scores == 1).all()
