"""Eq. 9 to 11 against numbers worked out by hand."""

import math

import pytest
import torch

from groundgraph.teachers.fusion import FLOOR, expert_weights, fuse, fuse_product, smooth

OBJECT = torch.tensor([[[0.5, 0.5, 0.0], [0.0, 0.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 0.0]]])
INTERACTION = torch.tensor([[[0.2, 0.7, 0.1], [0.2, 0.7, 0.1], [0.0, 0.0, 0.0], [0.0, 0.0, 0.0]]])
BOTH = torch.stack([OBJECT, INTERACTION], -2)
PHRASE = torch.tensor([[[0.8, 0.2, 0.0], [0.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.5, 0.5]]])
ALL = torch.stack([OBJECT, INTERACTION, PHRASE], -2)


def test_fusing_by_hand():
    weights = torch.tensor([[[0.25, 0.75], [0.9, 0.1], [0.1, 0.9], [0.5, 0.5]]])
    expected = torch.tensor([[[0.275, 0.65, 0.075], [0.2, 0.7, 0.1], [1.0, 0.0, 0.0], [0.0, 0.0, 0.0]]])
    assert torch.allclose(fuse(BOTH, weights), expected, atol=1e-6)


def test_the_product_by_hand():
    # Sharpened by a temperature of a half: .04, .49, .01 times .5, .5, 0 and the floor.
    named = torch.tensor([0.04 * (0.5 + FLOOR), 0.49 * (0.5 + FLOOR), 0.01 * FLOOR])
    named = named / named.sum()
    expected = torch.stack([named, INTERACTION[0, 1], OBJECT[0, 2], torch.zeros(3)])[None]
    assert torch.allclose(fuse_product(BOTH, 0.5), expected, atol=1e-6)
    # Temperature 1: the interaction-aware target as it is.
    plain = (OBJECT[0, 0] + FLOOR) * INTERACTION[0, 0]
    assert torch.allclose(fuse_product(BOTH, 1.0)[0, 0], plain / plain.sum(), atol=1e-6)


def test_a_product_is_not_empty_however_sharp():
    flat = torch.full((1, 40), 1 / 40)
    flat[0, 3] = 0  # padding
    mask = torch.zeros(1, 40)
    mask[0, :2] = 0.5
    fused = fuse_product(torch.stack([mask, flat], -2), 0.01)
    assert fused.sum().item() == pytest.approx(1) and fused[0, 3] == 0
    assert fused[0, 0].item() == pytest.approx((0.5 + FLOOR) / (1 + 39 * FLOOR))


def test_expert_weights_by_hand():
    regions = torch.tensor([[1.0, 0.0], [0.0, 1.0]])
    entities = torch.tensor([[1.0, 0.0]])
    one, two = torch.tensor([[1.0, 0.0]]), torch.tensor([[0.5, 0.5]])
    a, b = 1.0, 1 / math.sqrt(2)  # the cosines of (1, 0) and (.5, .5) with (1, 0)
    share = math.exp(a / 0.1) / (math.exp(a / 0.1) + math.exp(b / 0.1))
    assert torch.allclose(
        expert_weights(torch.stack([one, two], -2), regions, entities, 0.1), torch.tensor([[share, 1 - share]])
    )
    silent = expert_weights(torch.stack([torch.zeros(1, 2), two], -2), regions, entities, 0.1)
    assert torch.isfinite(silent).all() and silent.sum().item() == pytest.approx(1)


def test_smoothing_by_hand():
    regions = torch.tensor([[True, True, True, False]])
    target = torch.tensor([[[0.5, 0.5, 0.0, 0.0], [0.0, 0.0, 0.0, 0.0], [0.2, 0.3, 0.5, 0.0]]])
    expected = torch.tensor([[[0.45, 0.45, 0.1, 0.0], [0.0, 0.0, 0.0, 0.0], [0.2, 0.3, 0.5, 0.0]]])
    assert torch.allclose(smooth(target, regions, 0.1), expected)


def test_three_teachers_by_the_same_rules():
    # Weights count over those that speak: all, the second, the first and third, the third.
    weights = torch.tensor([[[0.2, 0.5, 0.3], [0.2, 0.5, 0.3], [0.2, 0.5, 0.2], [0.2, 0.5, 0.3]]])
    first = [0.2 * 0.5 + 0.5 * 0.2 + 0.3 * 0.8, 0.2 * 0.5 + 0.5 * 0.7 + 0.3 * 0.2, 0.5 * 0.1]
    expected = torch.tensor([[first, [0.2, 0.7, 0.1], [0.5, 0.5, 0.0], [0.0, 0.5, 0.5]]])
    assert torch.allclose(fuse(ALL, weights), expected, atol=1e-6)
    # A product: one more factor; without the second, the two that name regions in equal parts.
    named = torch.tensor([0.2 * (0.5 + FLOOR) * (0.8 + FLOOR), 0.7 * (0.5 + FLOOR) * (0.2 + FLOOR), 0.1 * FLOOR**2])
    expected = torch.stack([named / named.sum(), INTERACTION[0, 1], torch.tensor([0.5, 0.5, 0]), PHRASE[0, 3]])[None]
    assert torch.allclose(fuse_product(ALL, 1.0), expected, atol=1e-6)
    # A third that is silent changes nothing.
    silent = torch.cat([BOTH, torch.zeros_like(BOTH[..., :1, :])], -2)
    equal = torch.ones(1, 4, 3)
    assert torch.allclose(fuse(silent, equal), fuse(BOTH, equal[..., :2]), atol=1e-6)
    assert torch.allclose(fuse_product(silent, 0.5), fuse_product(BOTH, 0.5), atol=1e-6)
    regions, entities = torch.eye(3, 2)[None], torch.ones(1, 4, 2)
    two, three = (expert_weights(targets, regions, entities, 0.1) for targets in (BOTH, silent))
    assert torch.allclose(fuse(silent, three), fuse(BOTH, two), atol=1e-6)
