"""Open heads, by hand on small numbers."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from tiny_regions import SIZES, batch_of, name_features

from groundgraph.sgg import SGG_MODELS
from groundgraph.sgg.batch import ordered_pairs
from groundgraph.sgg.heads import OpenHead, names_kept, set_names

MODELS = pytest.mark.parametrize("name", SGG_MODELS)


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
def test_names_are_replaced_after_training(name):
    torch.manual_seed(0)
    model = SGG_MODELS[name](replace(SIZES, text=7)).eval()
    old = name_features(5, 0), name_features(3, 1)
    set_names(model, *old)
    batch = batch_of([0, 1, 2, -1], [0.9, 0.7, 0.8, 0.4])
    batch = replace(batch, pairs=ordered_pairs(batch))
    before = model(batch)
    set_names(model, name_features(5, 0)[[4, 0]], name_features(3, 1)[[2]])
    after = model(batch)
    assert (model.sizes.categories, model.sizes.predicates) == (2, 1)
    assert after.predicates.shape == (12, 2)
    if name == "uniter":  # no label that was decoded goes into the next logits
        torch.testing.assert_close(after.objects, before.objects[..., [0, 5, 1]])
        torch.testing.assert_close(after.predicates, before.predicates[:, [0, 3]])


def test_names_that_training_did_not_have_get_a_bonus():
    torch.manual_seed(0)
    model = SGG_MODELS["motifs"](replace(SIZES, text=7)).eval()
    features = name_features(5, 0), name_features(3, 1)
    set_names(model, *features)
    batch = batch_of([0, 1], [0.9, 0.7])
    batch = replace(batch, pairs=ordered_pairs(batch))
    before = model(batch)
    set_names(model, *features, unseen=(np.array([False, True, False]), 1.5))
    after = model(batch)
    torch.testing.assert_close(after.objects, before.objects)
    torch.testing.assert_close(after.predicates - before.predicates, torch.tensor([[0, 0, 1.5, 0]] * 2))


@MODELS
def test_what_words_expect_between_two_labels_is_added(name):
    torch.manual_seed(0)
    model = SGG_MODELS[name](replace(SIZES, text=7, prior=True)).eval()
    features, ratios = (name_features(5, 0), name_features(3, 1)), np.zeros((5, 5, 3), np.float32)
    set_names(model, *features)
    batch = batch_of([0, 1, 2, -1], [0.9, 0.7, 0.8, 0.4])
    batch = replace(batch, pairs=ordered_pairs(batch))
    before = model(batch)
    labels = (before.objects[0, :, 1:].argmax(-1)).tolist()  # from 0
    subject, object_ = batch.pairs[5, 1:].tolist()
    ratios[labels[subject], labels[object_]] = [0.5, -2, 20]
    with torch.no_grad():
        model.frequency.weight.fill_(2)
    with names_kept(model):
        set_names(model, log_ratios=ratios)
        after = model(batch)
        torch.testing.assert_close(after.objects, before.objects)
        added = after.predicates - before.predicates
        torch.testing.assert_close(added[5], torch.tensor([0, 1, -4, 16.0]))  # the last one cut off at 8
    torch.testing.assert_close(model(batch).predicates, before.predicates)


def test_uniters_open_heads_begin_unsure():
    torch.manual_seed(0)
    model = SGG_MODELS["uniter"](replace(SIZES, text=384)).eval()
    features = np.random.default_rng(0).normal(size=(8, 384)).astype(np.float32)
    set_names(model, features[:5], features[5:])
    batch = batch_of([0, 1, 2, -1], [0.9, 0.7, 0.8, 0.4])
    outputs = model(replace(batch, pairs=ordered_pairs(batch)))
    assert all(logits.abs().max() < 3 for logits in (outputs.objects, outputs.predicates))
