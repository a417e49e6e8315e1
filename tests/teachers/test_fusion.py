"""Eq. 9 to 11 against numbers worked out by hand."""

import math

import pytest
import torch

from groundgraph.teachers.fusion import expert_weights, fuse, smooth

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
