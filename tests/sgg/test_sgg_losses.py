"""Eq. 16 and the choice of pairs, by hand."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.nn.functional import one_hot

from groundgraph.data.types import Regions
from groundgraph.sgg.batch import Outputs, collate
from groundgraph.sgg.losses import LossConfig, related_loss, sample_pairs, sample_soft_pairs, sgg_loss
from groundgraph.sgg.reweighting import inverse_frequency


def batch_of(*targets, boxes=None):
    regions = [
        Regions(
            np.tile(np.array([[0, 0, 9, 9]], np.float32), (len(t), 1)) if boxes is None else boxes,
            np.zeros(len(t), int),
            np.ones(len(t)),
            np.zeros((len(t), 2)),
            (50, 50),
        )
        for t in targets
    ]
    return collate(regions, [np.array(t) for t in targets])


def sample(batch, relations, seed=0, **options):
    generator = torch.Generator().manual_seed(seed)
    relations = torch.tensor(relations, dtype=torch.int64).reshape(-1, 4)
    pairs, predicates = sample_pairs(batch, relations, LossConfig(**options), generator)
    return [(*p, k) for p, k in zip(map(tuple, pairs.tolist()), predicates.tolist(), strict=True)]


def test_both_terms_are_means_by_hand():
    # Image 0: labels 1, 0; image 1: label 2 and padding, whose logits must not matter.
    batch = batch_of([1, 0], [2])
    logits = torch.zeros(2, 2, 3)
    logits[0, 0, 1], logits[1, 1] = math.log(2), 1e4
    predicates = torch.tensor([[math.log(3), 0.0], [0.0, 0.0]])
    losses = sgg_loss(Outputs(logits, predicates), batch, torch.tensor([0, 1]), LossConfig(background_weight=0.5))
    # Objects: -log(2/4), weight 1; -log(1/3), weight .5; -log(1/3), weight 1.
    objects = (math.log(2) + 1.5 * math.log(3)) / 2.5
    relations = (math.log(4 / 3) + math.log(2)) / 2
    assert [float(x) for x in losses] == pytest.approx([objects + relations, objects, relations])


def test_without_a_relation_or_a_label_the_loss_is_still_a_number():
    batch = batch_of([0, 0])
    outputs = Outputs(torch.zeros(1, 2, 3, requires_grad=True), torch.zeros(0, 2, requires_grad=True))
    for weight in (0.0, 0.1):
        losses = sgg_loss(outputs, batch, torch.zeros(0, dtype=torch.int64), LossConfig(background_weight=weight))
        losses.total.backward()
        assert losses.predicates.item() == 0
        assert float(losses.objects.detach()) == pytest.approx(math.log(3) if weight else 0, abs=1e-6)


def test_background_pairs_are_labelled_ones_first():
    batch = batch_of([1, 0, 2, 3, 0])
    chosen = sample(batch, [(0, 0, 2, 5)], pairs_per_image=6)
    # One relation, and the five other ordered pairs of the labelled regions 0, 2, 3.
    assert set(chosen) == {(0, 0, 2, 5), (0, 0, 3, 0), (0, 2, 0, 0), (0, 2, 3, 0), (0, 3, 0, 0), (0, 3, 2, 0)}
    more = sample(batch, [(0, 0, 2, 5)], pairs_per_image=8)
    assert len(set(more)) == 8
    assert set(chosen) < set(more)
    everything = sample(batch, [(0, 0, 2, 5)], pairs_per_image=100)
    assert len(set(everything)) == len(everything) == 20
    assert all(a != b for _, a, b, _ in everything)


def test_relations_are_limited_drawn_anew_and_never_background():
    batch = batch_of([1] * 6, [1] * 6)
    relations = [(0, i, j, 1 + i) for i in range(3) for j in range(3, 6)]
    seen = set()
    for seed in range(20):
        chosen = sample(batch, relations, seed, pairs_per_image=8, foreground_fraction=0.5)
        assert len(chosen) == 8
        assert sum(c[3] > 0 for c in chosen) == 4
        assert not {c[:3] for c in chosen if not c[3]} & {r[:3] for r in relations}
        seen |= {c for c in chosen if c[3]}
    assert seen == set(relations)


def test_an_image_without_a_relation_gives_no_pair_and_padding_none():
    chosen = sample(batch_of([1, 2], [1, 2, 3, 0]), [(0, 0, 1, 1)], pairs_per_image=10)
    assert set(chosen) == {(0, 0, 1, 1), (0, 1, 0, 0)}
    assert sample(batch_of([1, 2]), []) == []
    assert sample(batch_of([1]), []) == []


def test_a_relation_listed_twice_counts_once_and_two_predicates_both_count():
    chosen = sample(batch_of([1, 2]), [(0, 0, 1, 1), (0, 0, 1, 1), (0, 0, 1, 2)])
    assert sorted(chosen) == [(0, 0, 1, 1), (0, 0, 1, 2), (0, 1, 0, 0)]


def test_pairs_must_overlap_only_where_asked():
    boxes = np.array([[0, 0, 10, 10], [5, 5, 15, 15], [30, 30, 40, 40]], np.float32)
    batch = batch_of([1, 2, 3], boxes=boxes)
    relations = [(0, 0, 1, 1), (0, 0, 2, 1)]
    assert sorted(sample(batch, relations, overlapping=True)) == [(0, 0, 1, 1), (0, 1, 0, 0)]
    assert len(sample(batch, relations)) == 6


def test_soft_terms_are_means_by_hand():
    batch = batch_of([1, 0])
    batch = replace(batch, soft=torch.tensor([[[0.2, 0.8, 0.0], [1.0, 0.0, 0.0]]]))
    logits = torch.zeros(1, 2, 3)
    logits[0, 0, 1] = math.log(2)
    predicates = torch.tensor([[math.log(3), 0.0], [0.0, 0.0]])
    soft = torch.tensor([[0.25, 0.75], [1.0, 0.0]])
    losses = sgg_loss(Outputs(logits, predicates), batch, soft, LossConfig(background_weight=0.5))
    # Region 0: softmax 1/4, 1/2, 1/4; weights .5 x .2 of background, .8 of label 1. Region 1: 1/3, weight .5.
    first, second = 0.1 * math.log(4) + 0.8 * math.log(2), 0.5 * math.log(3)
    objects = (first + second) / (0.1 + 0.8 + 0.5)
    # Pair 0: softmax 3/4, 1/4; pair 1: 1/2, 1/2.
    relations = (0.25 * math.log(4 / 3) + 0.75 * math.log(4) + math.log(2)) / 2
    assert [float(x) for x in losses] == pytest.approx([objects + relations, objects, relations])


def test_decided_soft_labels_are_hard_labels():
    batch, generator = batch_of([1, 0], [2]), torch.Generator().manual_seed(0)
    outputs = Outputs(*(torch.randn(*shape, generator=generator) for shape in ((2, 2, 3), (3, 4))))
    predicates = torch.tensor([1, 0, 3])
    hard = sgg_loss(outputs, batch, predicates, LossConfig())
    decided = replace(batch, soft=one_hot(batch.targets, 3).float())
    soft = sgg_loss(outputs, decided, one_hot(predicates, 4).float(), LossConfig())
    assert [float(x) for x in soft] == pytest.approx([float(x) for x in hard])


def test_soft_pairs_are_drawn_by_their_share_of_predicates():
    batch = batch_of([1] * 4)
    pairs = torch.tensor([[0, 0, 1], [0, 0, 2], [0, 0, 3], [0, 1, 2]])
    predicates = torch.tensor([[0.4, 0.6, 0.0], [0.8, 0.1, 0.1], [0.8, 0.0, 0.2], [1.0, 0.0, 0.0]])
    drawn = []
    for seed in range(400):
        generator = torch.Generator().manual_seed(seed)
        options = LossConfig(pairs_per_image=3, foreground_fraction=0.3)
        chosen, targets = sample_soft_pairs(batch, pairs, predicates, options, generator)
        assert len(chosen) == len(targets) == 3
        drawn.append(chosen[0].tolist())
        assert targets[0].tolist() == predicates[pairs.tolist().index(drawn[-1])].tolist()
        assert targets[1:].tolist() == [[1, 0, 0]] * 2
        # What is listed with some predicate is no background; what is listed as background is.
        assert not {tuple(p) for p in chosen[1:].tolist()} & {(0, 0, 1), (0, 0, 2), (0, 0, 3)}
    shares = [drawn.count(pair) / 400 for pair in pairs.tolist()]
    assert shares == pytest.approx([0.6, 0.2, 0.2, 0], abs=0.06)


def test_unknown_pairs_by_hand():
    logits = torch.tensor([[0.0, math.log(3), 0.0], [math.log(2), 0.0, 0.0], [0.0, 0.0, math.log(6)]])
    # Shares: 1/5 3/5 1/5; 1/2 1/4 1/4; 1/8 1/8 6/8. The first is mentioned with predicate 1, the others are unknown.
    predicates = torch.tensor([1, 0, 0])
    mentioned, unknown, related = -math.log(3 / 5), -math.log(1 / 2) - math.log(1 / 8), -math.log(1 / 5)
    assert related_loss(logits, predicates, 0.0).item() == pytest.approx(mentioned + unknown)
    assert related_loss(logits, predicates, 0.2).item() == pytest.approx(
        mentioned + (unknown - 0.2 * 2 * related) / 0.8
    )
    assert related_loss(logits, predicates, 0.95).item() == pytest.approx(mentioned)  # the risk is never negative
    soft = torch.eye(3)[predicates]
    assert related_loss(logits, soft, 0.2).item() == pytest.approx(related_loss(logits, predicates, 0.2).item())
    assert related_loss(logits[1:], predicates[1:], 0.2).item() == pytest.approx(unknown / 0.8)  # nothing mentioned


def test_the_loss_takes_unmentioned_pairs_as_told():
    torch.manual_seed(0)
    config = LossConfig(unmentioned_pairs="unknown", related_prior=0.1)
    outputs = Outputs(torch.randn(1, 2, 3), torch.randn(2, 3))
    batch = batch_of([1, 0])
    told = sgg_loss(outputs, batch, torch.tensor([1, 0]), config)
    assert told.predicates == related_loss(outputs.predicates, torch.tensor([1, 0]), 0.1) / 2
    assert told.predicates != sgg_loss(outputs, batch, torch.tensor([1, 0]), LossConfig()).predicates


def test_reweighted_predicates_by_hand():
    # 8, 0, 2 and 4 relations: the median of what is there is 4.
    weights = inverse_frequency(torch.tensor([8, 0, 2, 4]))
    assert weights.tolist() == pytest.approx([0.5, 1, 2, 1])
    assert inverse_frequency(torch.zeros(3)).tolist() == [1, 1, 1]
    batch, predicates = batch_of([1, 0]), torch.tensor([2, 0])
    logits = torch.tensor([[0.0, 0.0, math.log(2)], [math.log(2), 0.0, 0.0]])
    outputs, table = Outputs(torch.zeros(1, 2, 3), logits), torch.tensor([1, 0.5, 3])
    # Both pairs lose -log(2/4); the first three times that. The mean is over the two pairs.
    expected = pytest.approx((3 + 1) * math.log(2) / 2)
    losses = sgg_loss(outputs, batch, predicates, LossConfig(), None, table)
    assert losses.predicates.item() == expected
    soft = one_hot(predicates, 3).float()
    assert sgg_loss(outputs, batch, soft, LossConfig(), None, table).predicates.item() == expected
    unknown = related_loss(logits, predicates, 0.0, table).item()
    assert unknown == pytest.approx(3 * math.log(2) + math.log(2))
