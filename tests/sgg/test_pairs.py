"""Geometry by hand, union features, and the frequency bias."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from tiny_regions import SIZES, some_regions

from groundgraph.data.types import Regions
from groundgraph.sgg.batch import collate
from groundgraph.sgg.pairs import FrequencyBias, UnionFeature, box_geometry, pair_geometry, target_or_best


def test_geometry_by_hand():
    subject, object_ = torch.tensor([[0.0, 0, 20, 10]]), torch.tensor([[10.0, 0, 20, 40]])
    row = pair_geometry(subject, object_, torch.tensor([[100.0, 80]]))[0].tolist()
    # Union 20 x 40, shared 10 x 10 = 100, areas 200 and 400.
    wanted = [0.5, 0, 0, 0.75, 1, 0.25, 0.5, 1, np.log(0.5), np.log(4), 0.2, 0.5, 0.25, 0.2, 0.5]
    assert row == pytest.approx(wanted, abs=1e-6)
    batch = collate([Regions(subject.numpy(), np.array([0]), np.ones(1), np.zeros((1, 6)), (100, 80))])
    wanted = [0.1, 0.0625, 0.2, 0.125, 0, 0, 0.2, 0.125, 0.025]
    assert box_geometry(batch)[0, 0].tolist() == pytest.approx(wanted)
    degenerate = pair_geometry(torch.zeros(1, 4), torch.zeros(1, 4), torch.tensor([[100.0, 80]]))
    assert torch.isfinite(degenerate).all()


def test_visual_union_features_add_to_the_spatial_ones():
    sizes = replace(SIZES, unions=3)
    torch.manual_seed(0)
    union = UnionFeature("visual", sizes, 4, 5)
    batch = replace(collate([some_regions(2, 0)]), pairs=torch.tensor([[0, 0, 1]]), unions=torch.tensor([[1.0, 2, 6]]))
    spatial = UnionFeature("spatial", SIZES, 4, 5)
    spatial.load_state_dict({k: v for k, v in union.state_dict().items() if k.startswith("spatial")})
    norm, linear = union.visual
    seen = (batch.unions - 3) / (14 / 3 + norm.eps) ** 0.5  # mean 3, variance (4 + 1 + 9) / 3
    torch.testing.assert_close(union(batch), spatial(batch) + seen @ linear.weight.T + linear.bias)


def test_visual_union_features_that_do_not_exist_are_named():
    with pytest.raises(ValueError, match="come without them"):
        UnionFeature("visual", SIZES, 4, 5)
    batch = replace(collate([some_regions(2, 0)]), pairs=torch.tensor([[0, 0, 1]]))
    with pytest.raises(ValueError, match="give `unions`"):
        UnionFeature("visual", replace(SIZES, unions=3), 4, 5)(batch)


def test_the_frequency_bias_is_the_log_frequency_of_the_two_labels():
    bias = FrequencyBias(SIZES)
    counts = torch.zeros(6, 6, 4)
    counts[1, 2] = torch.tensor([1.0, 2.0, 5.0, 0.0])
    bias.count(counts)
    found = bias(torch.tensor([[1, 2]]), torch.tensor([[0, 0, 1], [0, 1, 0]]))
    wanted = torch.tensor([[1 / 8, 2 / 8, 5 / 8, 1e-3 / 8], [0.25] * 4]).log()
    torch.testing.assert_close(found, wanted, atol=1e-2, rtol=1e-3)
    assert bias.table.requires_grad  # published: a start, learnt on


def test_what_has_no_label_goes_as_its_best_category():
    logits = torch.tensor([[[9.0, 1, 2], [0, 5, 3]]])
    assert target_or_best(logits, None).tolist() == [[2, 1]]
    assert target_or_best(logits, torch.tensor([[0, 2]])).tolist() == [[2, 2]]
