"""Eq. 4, 5, 13 and 14 against numbers worked out by hand."""

import math

import pytest
import torch

from groundgraph.grounding.losses import (
    adaptor_loss,
    bag_similarity,
    distillation_loss,
    entity_contrast,
    lowest_attention,
    mil_loss,
    mil_weight,
    random_attention,
)


def sigmoid(x):
    return 1 / (1 + math.exp(-x))


def test_bag_similarity_by_hand():
    # Two captions: the first has entities 0 and 1, the second only entity 0; image 1 has one region.
    scores = torch.tensor(
        [
            [[[1.0, 2.0], [0.5, 9.0]], [[-1.0, 0.0], [3.0, 9.0]]],
            [[[0.2, -0.2], [1.5, 9.0]], [[9.0, 9.0], [9.0, 9.0]]],
        ]
    )  # [caption, entity, image, region]
    entities = torch.tensor([[True, True], [True, False]])
    regions = torch.tensor([[True, True], [True, False]])
    expected = [
        [(sigmoid(2.0) + sigmoid(0.0)) / 2, (sigmoid(0.5) + sigmoid(3.0)) / 2],
        [sigmoid(0.2), sigmoid(1.5)],
    ]
    assert torch.allclose(bag_similarity(scores, entities, regions), torch.tensor(expected), atol=1e-6)


def test_mil_loss_by_hand():
    similarity = torch.tensor([[0.7, 0.6, 0.1], [0.3, 0.2, 0.9], [0.5, 0.5, 0.5]])
    hinges = [0.6 - 0.7 + 0.2, 0.0, 0.3 - 0.2 + 0.2, 0.9 - 0.2 + 0.2, 0.2, 0.2]
    assert mil_loss(similarity, 0.2).item() == pytest.approx(sum(hinges) / 6, abs=1e-6)


def test_bag_similarity_as_released_has_no_sigmoid_and_sees_padding():
    scores = torch.tensor([[[[1.0, 2.0]], [[-1.0, 0.0]]]])  # one caption of two entities, one image
    entities, regions = torch.tensor([[True, True]]), torch.tensor([[True, False]])
    assert bag_similarity(scores, entities, regions, sigmoid=False).item() == pytest.approx((1.0 - 1.0) / 2)
    assert bag_similarity(scores, entities, regions, sigmoid=False, padding=True).item() == pytest.approx(1.0)


def test_mil_loss_as_released_counts_the_diagonal_as_zero():
    similarity = torch.tensor([[0.7, 0.6], [0.3, 0.1]])
    hinges = [max(0, 0 - 0.7 + 0.2), 0.6 - 0.7 + 0.2, 0.3 - 0.1 + 0.2, 0 - 0.1 + 0.2]
    assert mil_loss(similarity, 0.2, diagonal=True).item() == pytest.approx(sum(hinges) / 4, abs=1e-6)


def test_the_contrast_of_entities_by_hand():
    # Two images; the second has one region. Entities 0 and 1 are the first image's, 2 the second's.
    scores = torch.tensor([[[1.0, 2.0], [0.5, 9.0]], [[-1.0, 0.0], [3.0, 9.0]], [[0.0, 0.0], [0.0, 9.0]]])
    regions = torch.tensor([[True, True], [True, False]])
    e = math.exp
    first, second, third = (e(1) + e(2)) / 2, (e(-1) + e(0)) / 2, 1.0  # means over the first image's regions
    own = [first / (first + e(0.5)), second / (second + e(3)), 1.0 / (third + 1.0)]
    expected = -sum(math.log(p) for p in own) / 3
    assert entity_contrast(scores, torch.tensor([0, 0, 1]), regions).item() == pytest.approx(expected, abs=1e-6)
    assert entity_contrast(scores[:2, :1], torch.tensor([0, 0]), regions[:1]).item() == 0  # nothing to tell it from


def test_the_contrast_of_entities_teaches_all_regions_at_first_and_the_best_one_at_last():
    regions = torch.ones(2, 3, dtype=torch.bool)
    best = torch.tensor([[[2.0, 1.0, 0.0], [0.0, 0.0, 0.0]]])
    for scale, share in ((1e-3, 1 / 3), (20.0, 1.0)):
        scores = (best * scale).requires_grad_()
        other = torch.cat([scores[:, :1], scores[:, :1].detach()], 1)  # which image cannot be told
        entity_contrast(other, torch.tensor([0]), regions).backward()
        assert scores.grad[0, 0, 0].item() == pytest.approx(-share / 2, abs=1e-3)


def told_from_a_bad_start(contrast, kinds=6, images=64):
    """The share of words that mean the right kind of region, having begun with each at its usual companion."""
    generator = torch.Generator().manual_seed(0)
    heads = 2 * torch.rand(images, kinds // 2, generator=generator).argsort(1)[:, :2]
    together = torch.rand(images, 2, generator=generator) < 0.8
    strange = 2 * torch.randint(0, kinds // 2, (images, 2), generator=generator) + 1
    shown = torch.cat([heads, torch.where(together, heads + 1, strange)], 1)  # the four regions, each with its word
    table = (4.0 * torch.eye(kinds)[[1, 0, 3, 2, 5, 4]]).requires_grad_()  # a word's score for a kind of region
    optimizer = torch.optim.Adam([table], lr=0.1)
    real, owner = torch.ones(16, 4, dtype=torch.bool), torch.arange(16).repeat_interleave(4)
    for _ in range(100):
        batch = shown[torch.randperm(images, generator=generator)[:16]]
        scores = table[batch][:, :, batch]
        hinge = mil_loss(bag_similarity(scores, real, real))
        loss = entity_contrast(scores.flatten(0, 1), owner, real) if contrast else hinge
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return (table.argmax(1) == torch.arange(kinds)).float().mean().item()


def test_the_contrast_of_entities_leaves_a_start_at_which_companions_are_exchanged():
    assert told_from_a_bad_start(contrast=True) == 1
    assert told_from_a_bad_start(contrast=False) < 0.5  # the hinge of Eq. 5 stays there


def test_the_released_decay():
    assert [round(mil_weight(e), 6) for e in (0, 4, 5, 8, 9, 14)] == [1, 1, 0.8, 0.2, 0, 0]


def test_mil_loss_of_one_image_is_zero():
    assert mil_loss(torch.tensor([[0.3]])).item() == 0


def test_distillation_by_hand():
    scores = torch.tensor([[[1.0, 3.0, 50.0], [0.0, 0.0, 0.0]]])
    targets = torch.tensor([[[0.5, 0.5, 0.0], [0.0, 0.0, 0.0]]])  # the second entity has no teacher
    regions = torch.tensor([[True, True, False]])  # the third region is padding, whatever its score
    p = [math.exp(1) / (math.exp(1) + math.exp(3)), math.exp(3) / (math.exp(1) + math.exp(3))]
    expected = sum(0.5 * math.log(0.5 / v) for v in p)
    assert distillation_loss(scores, targets, regions).item() == pytest.approx(expected, abs=1e-5)


def test_distillation_without_a_teacher_is_zero_and_has_a_gradient():
    scores = torch.zeros(1, 2, 3, requires_grad=True)
    loss = distillation_loss(scores, torch.zeros(1, 2, 3), torch.ones(1, 3, dtype=torch.bool))
    loss.backward()
    assert loss.item() == 0 and torch.equal(scores.grad, torch.zeros(1, 2, 3))


def test_distillation_pulls_towards_the_target():
    scores = torch.zeros(1, 1, 3, requires_grad=True)
    distillation_loss(scores, torch.tensor([[[0.0, 1.0, 0.0]]]), torch.ones(1, 3, dtype=torch.bool)).backward()
    assert torch.allclose(scores.grad, torch.tensor([[[1 / 3, -2 / 3, 1 / 3]]]), atol=1e-6)


def test_adaptor_loss_by_hand():
    positive = torch.tensor([[0.5, 0.1], [0.0, 0.3]])
    negative = torch.tensor([[0.4, 0.9], [0.6, 0.0]])
    informed = torch.tensor([[True, True], [True, False]])
    first, second = (0.4 - 0.5 + 0.2 + 0.6 - 0.0 + 0.2) / 2, 0.9 - 0.1 + 0.2
    assert adaptor_loss(positive, negative, informed).item() == pytest.approx(first + second, abs=1e-6)
    first, second = (0.9 - 0.5 + 0.2 + 0.0 - 0.0 + 0.2) / 2, 0.4 - 0.1 + 0.2
    assert adaptor_loss(positive, negative, informed, crossed=True).item() == pytest.approx(first + second, abs=1e-6)

    def s(x):
        return 1 / (1 + math.exp(-x))

    first = (s(0.4) - s(0.5) + 0.2 + s(0.6) - s(0.0) + 0.2) / 2
    second = s(0.9) - s(0.1) + 0.2
    assert adaptor_loss(positive, negative, informed, sigmoid=True).item() == pytest.approx(first + second, abs=1e-6)


def test_a_random_attention_lies_on_the_simplex_of_real_regions():
    regions = torch.tensor([[True] * 4, [True, True, False, False]])
    attention = random_attention(regions, 2000, torch.Generator().manual_seed(0))
    assert torch.allclose(attention.sum(-1), torch.ones(2, 2000)) and attention[1, :, 2:].abs().sum() == 0
    # A uniform point of the simplex of n has the mean 1 / n and the variance (n - 1) / (n^2 (n + 1)).
    assert torch.allclose(attention[0].mean(0), torch.full((4,), 0.25), atol=0.02)
    assert torch.allclose(attention[0].var(0), torch.full((4,), 3 / 80), atol=0.005)


def test_lowest_attention_takes_up_to_four_of_the_ten_lowest():
    target = torch.arange(14.0).expand(1, 4000, 14)
    regions = torch.ones(1, 14, dtype=torch.bool)
    regions[0, 0] = False  # padding, though it is the lowest of all
    attention = lowest_attention(target, regions, torch.Generator().manual_seed(0))[0]
    assert attention[:, 0].sum() == 0 and attention[:, 11:].sum() == 0 and (attention[:, 1:11] > 0).any(0).all()
    chosen = (attention > 0).sum(1)
    assert set(chosen.tolist()) == {0, 1, 2, 3, 4}
    assert torch.allclose(attention.sum(1), (chosen > 0).float())
    assert torch.allclose(torch.bincount(chosen).float() / 4000, torch.full((5,), 0.2), atol=0.03)


def test_lowest_attention_with_few_regions():
    regions = torch.tensor([[True, True, False]])
    attention = lowest_attention(torch.rand(1, 200, 3), regions, torch.Generator().manual_seed(0))
    assert attention[..., 2].sum() == 0 and set((attention > 0).sum(-1).flatten().tolist()) == {0, 1, 2}
