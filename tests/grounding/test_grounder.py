"""Eq. 1-3 and 12 by hand, the released grounder's figures, and what every batch of entities must hold."""

from pathlib import Path

import numpy as np
import pytest
import torch

from groundgraph.grounding.config import OFFICIAL, GroundingConfig
from groundgraph.grounding.data import GroundingImage, pad
from groundgraph.grounding.grounder import Grounder

GOLDEN = Path(__file__).parents[3] / "shared" / "golden" / "grounder" / "official.npz"


def written_out(net, value):  # W2 max(0, W1 x + b1) + b2
    return torch.relu(value @ net[0].weight.T + net[0].bias) @ net[2].weight.T + net[2].bias


def test_scores_are_fc_att_of_the_product():
    torch.manual_seed(0)
    for normalise in (False, True):
        model = Grounder(3, 2, GroundingConfig(dimension=16, dropout=0.0, normalise=normalise))
        torch.nn.init.constant_(model.attend.bias, 0.25)
        e, x = torch.randn(5, 3), torch.randn(6, 2)
        h, v = written_out(model.text, e), written_out(model.visual, x)
        if normalise:
            h, v = h / h.norm(dim=1, keepdim=True), v / v.norm(dim=1, keepdim=True)
        naive = torch.stack([torch.stack([model.attend(hi * vj)[0] for vj in v]) for hi in h])
        assert torch.allclose(model(e, x), naive, atol=1e-5)


def test_every_entity_against_every_region_of_every_image():
    model = Grounder(3, 2, GroundingConfig(dimension=4)).eval()
    h, v = torch.randn(2, 5, 4), torch.randn(3, 6, 4)
    found = model.everywhere(h, v)
    assert found.shape == (2, 5, 3, 6)
    assert torch.allclose(found[1, 2, 0], model.scores(h[1], v[0])[2], atol=1e-6)


def test_dropout_is_one_mask_an_entity_or_one_a_product():
    torch.manual_seed(0)
    h, v = torch.randn(1, 50), torch.ones(2, 50)
    model = Grounder(3, 2, GroundingConfig(dimension=50, dropout=0.5)).train()
    same = model.scores(h, v)
    assert torch.allclose(same[0, 0], same[0, 1])  # both regions saw the same mask
    assert not torch.allclose(same, model.scores(h, v))
    product = Grounder(3, 2, GroundingConfig(dimension=50, dropout=0.5, dropout_on="product")).train()
    assert not torch.allclose(*product.scores(h, v)[0])
    product.eval()
    assert torch.allclose(*product.scores(h, v)[0])
    many = torch.stack([product.train().scores(h, v) for _ in range(3000)]).mean(0)
    assert torch.allclose(many, product.eval().scores(h, v), atol=0.05)  # dropped entries are made up for


def test_adaptor_by_hand_and_its_gradients():
    model = Grounder(2, 2, GroundingConfig(dimension=2, fusing="self"))
    with torch.no_grad():
        model.adaptor.weight.copy_(torch.tensor([[2.0, -1.0]]))
        model.adaptor.bias.fill_(0.5)
    h = torch.tensor([[1.0, 3.0]], requires_grad=True)
    v = torch.tensor([[1.0, 0.0], [0.0, 4.0]], requires_grad=True)
    attention = torch.tensor([[0.25, 0.75]])  # v~ = (.25, 3); v~ * h = (.25, 9)
    out = model.reliability(attention, h, v)
    assert out.item() == pytest.approx(2 * 0.25 - 9 + 0.5)
    assert not out.requires_grad or torch.autograd.grad(out, (h, v), allow_unused=True) == (None, None)
    model.config = GroundingConfig(dimension=2, fusing="self", text_gradient=True)
    (to_h, to_v) = torch.autograd.grad(model.reliability(attention, h, v), (h, v), allow_unused=True)
    assert to_v is None and torch.allclose(to_h, torch.tensor([[2 * 0.25, -1 * 3.0]]))
    model.config = GroundingConfig(dimension=2, fusing="self", normalise=True)
    length = (0.25**2 + 9) ** 0.5
    assert model.reliability(attention, h, v).item() == pytest.approx((2 * 0.25 - 9) / length + 0.5, rel=1e-5)
    with pytest.raises(ValueError, match="no adaptor"):
        Grounder(2, 2).reliability(attention, h, v)


def test_official_sets_every_released_choice_and_a_given_key_stays():
    official, ours = GroundingConfig(official=True), GroundingConfig()
    for key, value in OFFICIAL.items():
        assert getattr(official, key) == value != getattr(ours, key)
    assert GroundingConfig(official=True, smoothing=0.0).smoothing == 0.0
    assert ours.fusing == "expert"


@pytest.mark.skipif(not GOLDEN.exists(), reason="the released grounder's figures are not here")
def test_equal_to_the_released_grounder():
    rng = np.random.default_rng(3)

    def draw(*shape):
        return torch.from_numpy(rng.normal(0, 0.05, shape).astype(np.float32))

    model = Grounder(768, 1536, GroundingConfig(official=True)).eval()
    layers = [model.text[0], model.text[2], model.visual[0], model.visual[2], model.attend, model.adaptor]
    with torch.no_grad():
        for layer in layers:
            layer.weight.copy_(draw(*layer.weight.shape))
            layer.bias.copy_(draw(*layer.bias.shape))

    def normal(*shape):
        return torch.from_numpy(rng.normal(size=shape).astype(np.float32))

    entities, regions = normal(6, 768), normal(6, 36, 1536)
    attentions = []
    for _ in range(4):
        a = np.exp(rng.normal(size=(6, 1, 36)))
        attentions.append(torch.from_numpy((a / a.sum(-1, keepdims=True)).astype(np.float32)))
    captions, images = normal(3, 5, 768), normal(3, 36, 1536)
    golden = np.load(GOLDEN)
    with torch.no_grad():
        h, v = model.encode_text(entities.unsqueeze(1)), model.encode_regions(regions)
        np.testing.assert_allclose(model.scores(h, v)[:, 0].numpy(), golden["score"], atol=1e-6)
        for name, attention in zip(("1", "2", "neg_1", "neg_2"), attentions, strict=True):
            np.testing.assert_allclose(model.reliability(attention, h, v).numpy(), golden[f"adaptor_{name}"], atol=1e-5)
        mil = model.everywhere(model.encode_text(captions), model.encode_regions(images))
        np.testing.assert_allclose(mil.numpy(), golden["mil"], atol=1e-6)


def image(entities, regions, triplets=(), seed=0):
    rng = np.random.default_rng(seed)
    return GroundingImage(
        rng.normal(size=(entities, 4)).astype(np.float32),
        rng.normal(size=(regions, 3)).astype(np.float32),
        np.zeros((entities, regions), np.float32),
        triplets=np.array(triplets, np.int64).reshape(-1, 2),
        predicates=rng.normal(size=(len(triplets), 4)).astype(np.float32),
    )


def test_a_sample_keeps_the_triplets_whose_ends_it_keeps():
    data = pad([image(4, 2, [(0, 3), (1, 2)]), image(2, 3, [(1, 0)])])
    part = data.take(torch.tensor([0, 1]), torch.tensor([[3, 0], [1, 0]]), torch.tensor([[True, True], [True, True]]))
    assert part.triplet_mask.tolist() == [[True, False], [True, False]]
    assert part.triplets[0, 0].tolist() == [1, 0] and part.triplets[1, 0].tolist() == [0, 1]
    assert torch.equal(part.embeddings[0, 0], data.embeddings[0, 3])
    lone = data.take(torch.tensor([1]), torch.tensor([[1, 0]]), torch.tensor([[True, False]]))
    assert not lone.triplet_mask.any() and lone.entities.tolist() == [[True, False]]


def test_a_batch_of_entities_holds_each_image_once():
    data = pad([image(4, 2), image(2, 3, seed=1), image(3, 2, seed=2)])
    rows = torch.tensor([[2, 1], [0, 3], [0, 0], [2, 2]])
    batch = data.of_entities(rows)
    assert len(batch) == 2 and batch.entities.tolist() == [[True, True], [True, True]]
    assert torch.equal(batch.embeddings[0], data.embeddings[0, [3, 0]])
    assert torch.equal(batch.embeddings[1], data.embeddings[2, [1, 2]])


def test_targets_of_another_shape_are_refused():
    with pytest.raises(ValueError, match="interaction is"):
        GroundingImage(np.ones((2, 8)), np.ones((3, 8)), np.ones((2, 3)), np.ones((3, 2)))
    with pytest.raises(ValueError, match="predicates is"):
        GroundingImage(
            np.ones((2, 8)), np.ones((3, 8)), np.ones((2, 3)), triplets=np.zeros((1, 2)), predicates=np.ones((2, 8))
        )
