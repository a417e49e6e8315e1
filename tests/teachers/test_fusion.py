"""Eq. 9 to 11 against numbers worked out by hand."""

import math

import pytest
import torch

from groundgraph.teachers.fusion import FLOOR, expert_weights, fuse, fuse_product, smooth

OBJECT = torch.tensor([[[0.5, 0.5, 0.0], [0.0, 0.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 0.0]]])
INTERACTION = torch.tensor([[[0.2, 0.7, 0.1], [0.2, 0.7, 0.1], [0.0, 0.0, 0.0], [0.0, 0.0, 0.0]]])


def test_fusing_by_hand():
    weights = torch.tensor([[[0.25, 0.75], [0.9, 0.1], [0.1, 0.9], [0.5, 0.5]]])
    expected = torch.tensor([[[0.275, 0.65, 0.075], [0.2, 0.7, 0.1], [1.0, 0.0, 0.0], [0.0, 0.0, 0.0]]])
    assert torch.allclose(fuse(OBJECT, INTERACTION, weights), expected, atol=1e-6)


def test_the_product_by_hand():
    # Sharpened by a temperature of a half: .04, .49, .01 times .5, .5, 0 and the floor.
    named = torch.tensor([0.04 * (0.5 + FLOOR), 0.49 * (0.5 + FLOOR), 0.01 * FLOOR])
    named = named / named.sum()
    expected = torch.stack([named, INTERACTION[0, 1], OBJECT[0, 2], torch.zeros(3)])[None]
    assert torch.allclose(fuse_product(OBJECT, INTERACTION, 0.5), expected, atol=1e-6)
    # Temperature 1: the interaction-aware target as it is.
    plain = (OBJECT[0, 0] + FLOOR) * INTERACTION[0, 0]
    assert torch.allclose(fuse_product(OBJECT, INTERACTION, 1.0)[0, 0], plain / plain.sum(), atol=1e-6)


def test_a_product_is_not_empty_however_sharp():
    flat = torch.full((1, 40), 1 / 40)
    flat[0, 3] = 0  # padding
    mask = torch.zeros(1, 40)
    mask[0, :2] = 0.5
    fused = fuse_product(mask, flat, 0.01)
    assert fused.sum().item() == pytest.approx(1) and fused[0, 3] == 0
    assert fused[0, 0].item() == pytest.approx((0.5 + FLOOR) / (1 + 39 * FLOOR))


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
