"""Eq. 4, 5 and 14 against numbers worked out by hand."""

import math

import pytest
import torch

from groundgraph.grounding.losses import bag_similarity, distillation_loss, mil_loss, mil_weight


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
