"""The pair grounder: what it can tell that single regions cannot, its losses by hand, its labels."""

import numpy as np
import pytest
import torch
from others import check_padding_and_order, check_without_triplets, learnt

from groundgraph.data.geometry import pair_geometry
from groundgraph.data.types import CandidatePairs, PseudoLabels
from groundgraph.grounding import GroundingConfig, build_grounder
from groundgraph.grounding.batches import Step
from groundgraph.grounding.data import GroundingImage, pad
from groundgraph.grounding.layers import MASKED_LOGIT
from groundgraph.grounding.pairs import Pairs, confident, pair_distillation, related_loss
from groundgraph.grounding.pseudo_labels import draw_labels, keep_best, pseudo_of, pseudo_record, soft_labels


def test_it_learns_from_captions_alone():
    assert learnt("pairs", 25) > 0.6


def test_padding_and_order_do_not_matter():
    check_padding_and_order(Pairs)


def test_without_triplets():
    check_without_triplets(Pairs)


def riders(images, seed):
    """Two men and two horses an image, alike in every feature; one man is on a horse, or beside it, as captions say.

    The others lie anywhere. The object-aware teacher knows the kinds; nothing says which is meant.
    """
    rng = np.random.default_rng(seed)
    words = np.eye(4, dtype=np.float32) * 4  # man, horse, on, beside
    data, answers = [], []
    for _ in range(images):
        predicate, order = rng.integers(2), rng.permutation(4)
        places = rng.uniform(0, 0.9, (4, 2))
        places[1] = places[0] + ([0, 0.1], [0.1, 0])[predicate]
        boxes = np.concatenate([places, places + 0.1], 1).astype(np.float32)
        kind, right = np.array([0, 1, 0, 1])[order], np.argsort(order)[:2]
        target = np.stack([kind == 0, kind == 1]).astype(np.float32) / 2
        features = words[kind] + rng.normal(0, 0.1, (4, 4)).astype(np.float32)
        data.append(
            GroundingImage(
                words[:2],
                features.astype(np.float32),
                target,
                triplets=np.array([[0, 1]]),
                predicates=words[[2 + predicate]],
                boxes=boxes[order],
            )
        )
        answers.append(right)
    return data, answers


def test_it_tells_two_alike_apart_by_how_they_lie():
    """Chance is .5 for an entity's region, since only the boxes tell."""
    rates = {}
    for name in ("two-teachers", "pairs"):
        config = GroundingConfig(dimension=32, epochs=25, batch_size=16, learning_rate=5e-3, fusing="average")
        grounder = build_grounder(name, config)
        grounder.train(riders(200, 0)[0], [], seed=0)
        data, answers = riders(60, 1)
        rates[name] = np.mean([s.argmax(1) == a for s, a in zip(grounder.scores(data), answers, strict=True)])
    assert rates["two-teachers"] < 0.7 and rates["pairs"] > 0.85


def one_image():
    """2 entities, 3 regions, a triplet of them; the target of the first is regions 0 and 1, of the second region 2."""
    target = np.array([[0.5, 0.5, 0.0], [0.0, 0.0, 1.0]], np.float32)
    words, features = np.zeros((2, 3), np.float32), np.zeros((3, 3), np.float32)
    return pad([GroundingImage(words, features, target, triplets=np.array([[0, 1]]), predicates=words[:1])])


def test_pair_distillation_by_hand():
    batch = one_image()
    p = torch.tensor([[0.0, 0.1, 0.5], [0.1, 0.0, 0.1], [0.1, 0.1, 0.0]])
    joint = torch.where(p > 0, p.log(), torch.tensor(MASKED_LOGIT))[None, None]
    # t(0, 2) = t(1, 2) = 1/2
    first = pair_distillation(joint, batch.object, batch, settled=False)
    assert first.item() == pytest.approx(-0.5 * (np.log(0.5) + np.log(0.1)), abs=1e-5)
    then = pair_distillation(joint, batch.object, batch, settled=True)
    assert then.item() == pytest.approx(-np.log(0.5 * 0.5 + 0.5 * 0.1), abs=1e-5)
    # An end without a target: no loss; subject and object on one region alone: neither.
    for target in (batch.object * torch.tensor([1.0, 0.0])[:, None], torch.eye(3)[[2, 2]][None]):
        assert [pair_distillation(joint, target, batch, settled).item() for settled in (False, True)] == [0, 0]


def test_losses_by_hand():
    """All weights zero but FC_att's bias: every a and g is alike, so each loss is a logarithm of counts."""
    rng = np.random.default_rng(0)
    images = []
    for regions in (2, 4):
        target = np.zeros((2, regions), np.float32)
        target[0, 0] = 1
        words = rng.normal(size=(2, 3)).astype(np.float32)
        images.append(
            GroundingImage(words, rng.normal(size=(regions, 3)).astype(np.float32), target, triplets=np.array([[0, 1]]),
                           predicates=rng.normal(size=(1, 3)).astype(np.float32))
        )  # fmt: skip
    config = GroundingConfig(dimension=4, pairs={"predicate_contrast_weight": 2.0, "contrast_weight": 1.0})
    model = Pairs(3, 3, config).eval()
    for parameter in model.parameters():
        torch.nn.init.zeros_(parameter)
    batch = pad(images)
    losses = {name: value.item() for name, value in model.losses(Step(batch, batch, 0)).items()}
    assert losses["kd"] == pytest.approx((np.log(2) + np.log(4)) / 4, abs=1e-5)  # two of four entities are known
    assert losses["pairs"] == 0  # no triplet with two known ends
    assert losses["contrast"] == pytest.approx(np.log(2), abs=1e-5)  # means over regions: both images alike
    assert losses["pair_contrast"] == pytest.approx(0.3 * np.log(2), abs=1e-5)
    assert losses["predicate_contrast"] == pytest.approx(2 * np.log(2), abs=1e-5)
    scores, joint = model.ground(batch)
    np.testing.assert_allclose(scores[1].exp().detach(), np.full((2, 4), 0.25), atol=1e-5)
    np.testing.assert_allclose(joint[1, 0].exp().detach(), (1 - np.eye(4)) / 12, atol=1e-5)
    np.testing.assert_allclose(joint[0, 0].exp().detach()[:2, :2], (1 - np.eye(2)) / 2, atol=1e-5)


def test_words_that_the_detector_does_not_know_are_taught_by_their_weight():
    words, features = np.eye(2, 3, dtype=np.float32), np.eye(2, 3, dtype=np.float32)
    interaction = np.array([[0.2, 0.8], [0.2, 0.8]], np.float32)
    batch = pad([GroundingImage(words, features, np.array([[0, 1], [0, 0]], np.float32), interaction)] * 2)
    terms = []
    for weight in (0.0, 0.5):
        torch.manual_seed(0)
        model = Pairs(3, 3, GroundingConfig(dimension=4, pairs={"unknown_weight": weight})).eval()
        log_p = model.unary(model.encode_text(batch.embeddings), model.encode_regions(batch.features), batch.regions)
        log_p = log_p.log_softmax(-1)[0].detach().numpy()
        known = -log_p[0, 1]
        assert weight or model.losses(Step(batch, batch, 0))["kd"].item() == pytest.approx(known / 2, rel=1e-3)
        terms.append(model.losses(Step(batch, batch, 0))["kd"].item())
    assert terms[1] == pytest.approx(terms[0] - 0.25 * (interaction[1] * log_p[1]).sum(), abs=1e-5)


def test_regions_count_by_the_detectors_scores():
    target = torch.tensor([[[0.5, 0.5, 0.0], [0.0, 0.0, 0.0]]])
    weighted = confident(target, torch.tensor([[0.9, 0.1, 0.7]]))
    np.testing.assert_allclose(weighted, [[[0.9, 0.1, 0.0], [0.0, 0.0, 0.0]]], atol=1e-6)


def test_geometry_by_hand():
    a, b = torch.tensor([0.0, 0.0, 20.0, 40.0]), torch.tensor([10.0, 20.0, 50.0, 60.0])
    values = pair_geometry(a[None], b[None], torch.tensor([[100.0, 120.0]]))[0].tolist()
    shared, areas = 10 * 20, (800, 1600)
    by_hand = [10 / 50, 20 / 60, 30 / 50, 20 / 60, 20 / 50, 40 / 60, 40 / 50, 40 / 60, np.log(2), 0,
               shared / (sum(areas) - shared), shared / areas[0], shared / areas[1], 0.5, 0.5]  # fmt: skip
    np.testing.assert_allclose(values, by_hand, atol=1e-6)
    size = torch.tensor([100.0, 120.0, 100.0, 120.0])
    np.testing.assert_allclose(pair_geometry(a / size, b / size).tolist(), by_hand, atol=1e-5)


def labels(pairs, scores, triplets, categories=(1, 2, 3), count=5):
    """Entities whose own best region is 4, with pairs."""
    entities = len(categories)
    return PseudoLabels(
        np.array(categories),
        np.full((entities, 1), 4),
        np.zeros((entities, 1), np.float32),
        np.ones((entities, 1), np.float32),
        np.array(triplets),
        count,
        CandidatePairs(np.array(pairs), np.array(scores, np.float32)),
    )


def test_a_draw_is_a_pair_so_that_subject_and_object_agree():
    own = labels([[[0, 1], [2, 3]]], [[np.log(0.75), np.log(0.25)]], [[0, 1, 7]], (1, 2))
    rng, counts = np.random.default_rng(0), np.zeros(2)
    for _ in range(2000):
        drawn, relations = draw_labels(own, rng, "score")
        assert (drawn.tolist(), relations.tolist()) in (
            ([2, 3, 0, 0, 0], [[0, 1, 8]]),
            ([0, 0, 2, 3, 0], [[2, 3, 8]]),
        )
        counts += [drawn[0] > 0, drawn[2] > 0]
    assert abs(counts[0] / 2000 - 0.75) < 0.03
    assert draw_labels(keep_best(own, 1), rng)[1].tolist() == [[0, 1, 8]]
    every = draw_labels(own, rng, "every")
    assert every[0].tolist() == [2, 3, 2, 3, 0] and every[1].tolist() == [[0, 1, 8], [2, 3, 8]]


def test_an_entity_of_two_triplets_is_one_region_in_both():
    own = labels([[[0, 1], [2, 1]], [[0, 3], [2, 3]]], np.zeros((2, 2)), [[0, 1, 4], [0, 2, 5]])
    seen = set()
    for seed in range(40):
        drawn, relations = draw_labels(own, np.random.default_rng(seed))
        subject = {r[0] for r in relations.tolist()}
        assert len(relations) == 2 and len(subject) == 1
        assert drawn[next(iter(subject))] == 2 and (drawn == 2).sum() == 1
        seen |= subject
    assert seen == {0, 2}
    # No pair of the second has the first's region: it is dropped, and its object stands where it is best itself.
    own = labels([[[0, 1]], [[2, 3]]], np.zeros((2, 1)), [[0, 1, 4], [0, 2, 5]])
    outcomes = {str(draw_labels(own, np.random.default_rng(seed))) for seed in range(20)}
    assert len(outcomes) == 2
    assert all("array([[0, 1, 5]])" in one or "array([[2, 3, 6]])" in one for one in outcomes)


def test_soft_labels_have_the_pairs_shares():
    own = labels([[[0, 1], [2, 3], [-1, -1]]], [[np.log(0.3), np.log(0.1), 0]], [[0, 1, 0]], (0, 1))
    soft = soft_labels(own, 3, 2)
    held = {tuple(pair): row for pair, row in zip(soft.pairs.tolist(), soft.predicates.tolist(), strict=True)}
    np.testing.assert_allclose(held[0, 1], [0.25, 0.75, 0], atol=1e-6)
    np.testing.assert_allclose(held[2, 3], [0.75, 0.25, 0], atol=1e-6)
    assert len(held) == 2


def test_records_hold_the_pairs():
    own = labels([[[0, 1], [-1, -1]], [[2, 3], [1, 0]]], [[-0.5, 0], [-1, -2]], [[0, 1, 4], [0, 2, 5]])
    record = pseudo_record("a", own, ["x", "y", "z"])
    assert record["pairs"] == [[[0, 1, -0.5]], [[2, 3, -1.0], [1, 0, -2.0]]]
    back = pseudo_of(record, 5)
    np.testing.assert_array_equal(back.pairs.regions, own.pairs.regions)
    np.testing.assert_array_equal(back.pairs.scores, own.pairs.scores)
    assert pseudo_of(pseudo_record("a", labels(np.zeros((0, 0, 2)), np.zeros((0, 0)), np.zeros((0, 3), int)), "xyz"), 5)


def test_the_best_pairs_of_a_trained_grounder():
    data, _ = riders(3, 0)
    lonely = GroundingImage(np.eye(2, 4, dtype=np.float32), np.ones((1, 4), np.float32), np.zeros((2, 1), np.float32),
                            triplets=np.array([[0, 1]]), predicates=np.ones((1, 4), np.float32))  # fmt: skip
    empty = GroundingImage(np.eye(2, 4, dtype=np.float32), np.ones((0, 4), np.float32), np.zeros((2, 0), np.float32))
    grounder = build_grounder("pairs", GroundingConfig(dimension=8, epochs=1))
    grounder.train(data, [])
    images = grounder.ground([*data, lonely, empty], 20)
    scores, joint = grounder.model.ground(pad(data))
    for k, image in enumerate(images[:3]):
        np.testing.assert_allclose(image.scores, scores[k].detach(), atol=1e-6)
        assert image.pairs.regions.shape == (1, 20, 2) and image.pairs.real.sum() == 12  # ordered pairs of 4
        s, o = image.pairs.regions[0, 0]
        assert joint[k, 0, s, o] == joint[k, 0].max() and (np.diff(image.pairs.scores[0, :12]) <= 0).all()
    assert images[3].pairs.real.sum() == 0 and images[3].scores.shape == (2, 1)  # one region makes no pair
    assert images[4].pairs.regions.shape == (0, 20, 2) and images[4].scores.shape == (2, 0)


def test_related_loss_by_hand():
    batch = one_image()
    logits, target = torch.zeros(1, 3, 3), batch.object
    joint = torch.log(torch.tensor([[0.0, 0.1, 0.6], [0.1, 0.0, 0.2], [0.0, 0.0, 0.0]]).clamp(min=1e-9))[None, None]
    # The triplet may mean (0, 2) or (1, 2): a half each at first, then 6 / 8 and 2 / 8 by belief; six ordered pairs.
    logits[0, 0, 2] = 2.0
    unrelated = 4 * np.log(2)  # logit 0 of the others
    for settled, meant in ((False, (0.5, 0.5)), (True, (0.75, 0.25))):
        sure = np.log1p(np.exp(-2)) * meant[0] + np.log1p(np.exp(2)) * (1 - meant[0])
        loss = related_loss(logits, joint, target, batch, settled).item()
        assert loss == pytest.approx((sure + np.log(2) + unrelated) / 6, rel=1e-5)
    # Silence of an image that no triplet is taught of is no evidence.
    assert related_loss(logits, joint, target * 0, batch, True).item() == 0


def test_what_is_related_at_all_is_part_of_the_score():
    batch = one_image()
    torch.manual_seed(0)
    plain = Pairs(3, 3, GroundingConfig(dimension=8, fusing="average"))
    assert plain.related is None and "related" not in plain.losses(Step(batch, batch, 0))
    config = GroundingConfig(dimension=8, fusing="average", pairs={"related_weight": 1.0})
    model = Pairs(3, 3, config)
    model.load_state_dict(plain.state_dict(), strict=False)
    related = torch.tensor([[0.0, 0.0, 3.0], [0.0, 0.0, -3.0], [0.0, 0.0, 0.0]])[None]
    model.relatedness = lambda features: related
    assert "related" in model.losses(Step(batch, batch, 0))
    before, after = (grounder.eval().ground(batch)[1][0, 0] for grounder in (plain, model))
    lift = (after[0, 2] - after[1, 2]) - (before[0, 2] - before[1, 2])
    assert lift.item() == pytest.approx(3.0, abs=1e-4)  # log sigma(3) - log sigma(-3)
