"""Open heads and the detector's answer that object logits start from, by hand on small numbers."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from tiny_regions import SIZES, some_regions

from groundgraph.sgg import SGG_MODELS
from groundgraph.sgg.batch import Outputs, collate, ordered_pairs
from groundgraph.sgg.heads import DetectorStart, OpenHead, set_names
from groundgraph.sgg.inference import predict
from groundgraph.sgg.losses import LossConfig, sgg_loss

MEANS = np.array([[1, 0, 0, 0, 0], [0, 1, 1, 0, 0], [0, 0, 0, 0, 0], [0, 0, 0, 0, 1]], bool)
MODELS = pytest.mark.parametrize("name", SGG_MODELS)


def batch_of(labels, scores):
    regions = some_regions(len(labels), 0)
    return collate([replace(regions, labels=np.array(labels), scores=np.array(scores, np.float32))])


def names(count, seed):
    return np.random.default_rng(seed).normal(size=(count, 7)).astype(np.float32)


def test_the_detectors_score_is_shared_by_the_names_it_goes_by():
    start = DetectorStart(SIZES)
    start.set_match(torch.from_numpy(MEANS), torch.from_numpy(MEANS))
    shares, agrees, logits = start(batch_of([0, 1, 2, -1], [0.8, 0.6, 0.9, 0.5]))
    assert shares[0].numpy() == pytest.approx(
        np.array([[0.2, 0.8, 0, 0, 0, 0], [0.4, 0, 0.3, 0.3, 0, 0], [1, 0, 0, 0, 0, 0], [1, 0, 0, 0, 0, 0]])
    )
    smooth = 0.98 * shares[0, :3] + 0.02 / 6
    torch.testing.assert_close(logits[0, :3].softmax(-1), smooth)
    assert agrees[0, 1].tolist() == [True, False, True, True, False, False] and agrees[0, 3].all()
    assert logits[0, 3].tolist() == [0] * 6  # no category: the model is on its own


def test_an_open_heads_logits_by_hand():
    head = OpenHead("predicates", 2, replace(SIZES, text=2))
    with torch.no_grad():
        head.names = torch.tensor([[1.0, 0.0], [0.0, 1.0], [0.6, 0.8]])
        head.project.weight.copy_(torch.tensor([[1.0, 0.0], [0.0, 2.0]]))
        head.project.bias.zero_()
        head.background.copy_(torch.tensor([[-1.0, 0.0]]))
        head.scale.fill_(3)
    assert head(torch.tensor([1.0, 1.0])).tolist() == pytest.approx([-3, 3, 6, 3 * (0.6 + 1.6)])


@MODELS
@pytest.mark.parametrize("text", [0, 7])
def test_an_untrained_model_says_what_the_detector_says(name, text):
    torch.manual_seed(0)
    model = SGG_MODELS[name](replace(SIZES, text=text, start=True)).eval()
    features = (names(5, 0), names(3, 1)) if text else (None, None)
    set_names(model, *features, (MEANS, MEANS))
    batch = batch_of([0, 1, 3, -1], [0.9, 0.7, 0.8, 0.4])
    outputs = model(replace(batch, pairs=ordered_pairs(batch)))
    torch.testing.assert_close(outputs.objects, model.start(batch)[2])
    graph = predict(model, [replace(some_regions(3, 0), labels=np.array([0, 3, 0]))])[0]
    assert graph.labels.tolist() == [1, 5, 1]


@MODELS
def test_names_are_replaced_after_training(name):
    torch.manual_seed(0)
    model = SGG_MODELS[name](replace(SIZES, text=7)).eval()
    old = names(5, 0), names(3, 1)
    set_names(model, *old)
    batch = batch_of([0, 1, 2, -1], [0.9, 0.7, 0.8, 0.4])
    batch = replace(batch, pairs=ordered_pairs(batch))
    before = model(batch)
    set_names(model, names(5, 0)[[4, 0]], names(3, 1)[[2]])
    after = model(batch)
    assert (model.sizes.categories, model.sizes.predicates) == (2, 1)
    assert after.predicates.shape == (12, 2)
    if name == "uniter":  # no label that was decoded goes into the next logits
        torch.testing.assert_close(after.objects, before.objects[..., [0, 5, 1]])
        torch.testing.assert_close(after.predicates, before.predicates[:, [0, 3]])


def test_names_that_training_did_not_have_get_a_bonus():
    torch.manual_seed(0)
    model = SGG_MODELS["motifs"](replace(SIZES, text=7)).eval()
    features = names(5, 0), names(3, 1)
    set_names(model, *features)
    batch = batch_of([0, 1], [0.9, 0.7])
    batch = replace(batch, pairs=ordered_pairs(batch))
    before = model(batch)
    set_names(model, *features, unseen=(np.array([False, True, False]), 1.5))
    after = model(batch)
    torch.testing.assert_close(after.objects, before.objects)
    torch.testing.assert_close(after.predicates - before.predicates, torch.tensor([[0, 0, 1.5, 0]] * 2))


def test_what_no_caption_mentions_is_what_the_detector_says():
    # One region is said to be category 2; the other nobody mentions, and the detector says 1 with .7.
    batch = replace(batch_of([0, 0], [0.9, 0.7]), targets=torch.tensor([[2, 0]]))
    shares = torch.tensor([[[0.1, 0.9, 0], [0.3, 0.7, 0]]])
    logits = torch.tensor([[[0.0, 0, 1], [0.5, 1, 0]]])
    outputs = Outputs(logits, torch.zeros(0, 4), shares)
    none = torch.zeros(0, dtype=torch.int64)
    log = logits[0].log_softmax(-1)
    weight = 0.1
    expected = -(log[0, 2] + weight * (0.3 * log[1, 0] + 0.7 * log[1, 1])) / (1 + weight)
    config = LossConfig(background_weight=weight)
    assert float(sgg_loss(outputs, batch, none, config).objects) == pytest.approx(float(expected))
    soft = replace(batch, soft=torch.tensor([[[0, 0, 1.0], [1, 0, 0]]]))
    assert float(sgg_loss(outputs, soft, none, config).objects) == pytest.approx(float(expected))
    background = -(log[0, 2] + weight * log[1, 0]) / (1 + weight)
    config = LossConfig(background_weight=weight, unmentioned="background")
    assert float(sgg_loss(outputs, batch, none, config).objects) == pytest.approx(float(background))


def test_an_image_text_model_judges_the_names_that_the_detector_cannot_know():
    # Name 4 alone is no category's (3 of 4 in MEANS go by others). A crop's cosines with the names, over temperature 1:
    start = DetectorStart(replace(SIZES, views=2))
    towards = np.array([[1, 0], [0, 1], [0, 1], [0, -1], [0.6, 0.8]], np.float32)
    start.set_match(torch.from_numpy(MEANS), torch.from_numpy(MEANS))
    start.set_views(torch.from_numpy(towards), 1.0)
    batch = batch_of([0, -1, 2], [0.8, 0.5, 0.9])
    batch = replace(batch, features=torch.cat([batch.features, torch.tensor([[[0.0, -2.0]] * 3])], -1))
    shares = start(batch)[0][0]
    cosines = np.exp([0, -1, -1, 1, -0.8])
    unknown = cosines[3] / cosines.sum()
    assert shares.numpy() == pytest.approx(
        np.array(
            [
                [0.2, 0.8 * (1 - unknown), 0, 0, 0.8 * unknown, 0],
                [1 - 0.5 * unknown, 0, 0, 0, 0.5 * unknown, 0],
                [1 - 0.9 * unknown, 0, 0, 0, 0.9 * unknown, 0],
            ]
        ),
        abs=1e-6,
    )


def test_of_a_label_that_contradicts_the_detector_as_much_is_true_as_it_is_unsure():
    batch = replace(batch_of([0, 0], [0.9, 0.7]), targets=torch.tensor([[2, 1]]))
    shares = torch.tensor([[[0.1, 0.9, 0], [0.3, 0.7, 0]]])
    agrees = torch.tensor([[[True, True, False]] * 2])
    logits = torch.tensor([[[0.0, 0, 1], [0.5, 1, 0]]])
    log = logits[0].log_softmax(-1)
    expected = -(0.1 * log[0, 2] + 0.9 * (0.1 * log[0, 0] + 0.9 * log[0, 1]) + log[1, 1]) / 2
    outputs = Outputs(logits, torch.zeros(0, 4), shares, agrees)
    losses = sgg_loss(outputs, batch, torch.zeros(0, dtype=torch.int64), LossConfig())
    assert float(losses.objects) == pytest.approx(float(expected))
