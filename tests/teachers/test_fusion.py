"""Eq. 9 to 13 against numbers worked out by hand."""

import math

import pytest
import torch

from groundgraph.teachers.fusion import (
    adaptor_loss,
    expert_weights,
    fuse,
    lowest_attention,
    random_attention,
    smooth,
)

OBJECT = torch.tensor([[[0.5, 0.5, 0.0], [0.0, 0.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 0.0]]])
INTERACTION = torch.tensor([[[0.2, 0.7, 0.1], [0.2, 0.7, 0.1], [0.0, 0.0, 0.0], [0.0, 0.0, 0.0]]])


def test_fusing_by_hand():
    weights = torch.tensor([[[0.25, 0.75], [0.9, 0.1], [0.1, 0.9], [0.5, 0.5]]])
    expected = torch.tensor([[[0.275, 0.65, 0.075], [0.2, 0.7, 0.1], [1.0, 0.0, 0.0], [0.0, 0.0, 0.0]]])
    assert torch.allclose(fuse(OBJECT, INTERACTION, weights), expected, atol=1e-6)


def test_expert_weights_by_hand():
    regions = torch.tensor([[1.0, 0.0], [0.0, 1.0]])
    entities = torch.tensor([[1.0, 0.0]])
    one, two = torch.tensor([[1.0, 0.0]]), torch.tensor([[0.5, 0.5]])
    a, b = 1.0, 1 / math.sqrt(2)  # the cosines of (1, 0) and (.5, .5) with (1, 0)
    share = math.exp(a / 0.1) / (math.exp(a / 0.1) + math.exp(b / 0.1))
    assert torch.allclose(expert_weights(one, two, regions, entities, 0.1), torch.tensor([[share, 1 - share]]))
    silent = expert_weights(torch.zeros(1, 2), two, regions, entities, 0.1)
    assert torch.isfinite(silent).all() and silent.sum().item() == pytest.approx(1)


def test_smoothing_by_hand():
    regions = torch.tensor([[True, True, True, False]])
    target = torch.tensor([[[0.5, 0.5, 0.0, 0.0], [0.0, 0.0, 0.0, 0.0], [0.2, 0.3, 0.5, 0.0]]])
    expected = torch.tensor([[[0.45, 0.45, 0.1, 0.0], [0.0, 0.0, 0.0, 0.0], [0.2, 0.3, 0.5, 0.0]]])
    assert torch.allclose(smooth(target, regions, 0.1), expected)


def test_adaptor_loss_by_hand():
    positive = torch.tensor([[0.5, 0.1], [0.0, 0.3]])
    negative = torch.tensor([[0.4, 0.9], [0.6, 0.0]])
    says = torch.tensor([[True, True], [True, False]])
    first, second = (0.4 - 0.5 + 0.2 + 0.6 - 0.0 + 0.2) / 2, 0.9 - 0.1 + 0.2
    assert adaptor_loss(positive, negative, says).item() == pytest.approx(first + second, abs=1e-6)
    first, second = (0.9 - 0.5 + 0.2 + 0.0 - 0.0 + 0.2) / 2, 0.4 - 0.1 + 0.2
    assert adaptor_loss(positive, negative, says, crossed=True).item() == pytest.approx(first + second, abs=1e-6)

    def s(x):
        return 1 / (1 + math.exp(-x))

    first = (s(0.4) - s(0.5) + 0.2 + s(0.6) - s(0.0) + 0.2) / 2
    second = s(0.9) - s(0.1) + 0.2
    assert adaptor_loss(positive, negative, says, sigmoid=True).item() == pytest.approx(first + second, abs=1e-6)


def test_a_random_attention_lies_on_the_simplex_of_real_regions():
    regions = torch.tensor([[True] * 4, [True, True, False, False]])
    found = random_attention(regions, 2000, torch.Generator().manual_seed(0))
    assert torch.allclose(found.sum(-1), torch.ones(2, 2000)) and found[1, :, 2:].abs().sum() == 0
    # A uniform point of the simplex of n has the mean 1 / n and the variance (n - 1) / (n^2 (n + 1)).
    assert torch.allclose(found[0].mean(0), torch.full((4,), 0.25), atol=0.02)
    assert torch.allclose(found[0].var(0), torch.full((4,), 3 / 80), atol=0.005)


def test_lowest_attention_takes_up_to_four_of_the_ten_lowest():
    target = torch.arange(14.0).expand(1, 4000, 14)
    regions = torch.ones(1, 14, dtype=torch.bool)
    regions[0, 0] = False  # padding, though it is the lowest of all
    found = lowest_attention(target, regions, torch.Generator().manual_seed(0))[0]
    assert found[:, 0].sum() == 0 and found[:, 11:].sum() == 0 and (found[:, 1:11] > 0).any(0).all()
    taken = (found > 0).sum(1)
    assert set(taken.tolist()) == {0, 1, 2, 3, 4}
    assert torch.allclose(found.sum(1), (taken > 0).float())
    assert torch.allclose(torch.bincount(taken).float() / 4000, torch.full((5,), 0.2), atol=0.03)


def test_lowest_attention_with_few_regions():
    regions = torch.tensor([[True, True, False]])
    found = lowest_attention(torch.rand(1, 200, 3), regions, torch.Generator().manual_seed(0))
    assert found[..., 2].sum() == 0 and set((found > 0).sum(-1).flatten().tolist()) == {0, 1, 2}
