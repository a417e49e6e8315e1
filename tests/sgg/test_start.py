"""The detector's answer that object logits start from and keep to, by hand on small numbers."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from tiny_regions import SIZES, batch_of, name_features, some_regions

from groundgraph.data.boxes import box_iou
from groundgraph.language.concepts import BARRED, FREE, OWN
from groundgraph.sgg import SGG_MODELS
from groundgraph.sgg.batch import Outputs, ordered_pairs
from groundgraph.sgg.heads import set_names
from groundgraph.sgg.inference import predict
from groundgraph.sgg.losses import LossConfig, sgg_loss
from groundgraph.sgg.start import DetectorStart

# The detector's 4 categories: the first goes by name 1, the second by 2 and 3, the third by none, the last by 5. Name 4
# is none that it knows.
MEANS = np.array([[1, 0, 0, 0, 0], [0, 1, 1, 0, 0], [0, 0, 0, 0, 0], [0, 0, 0, 0, 1]], bool)
ROLES = np.where(MEANS, OWN, np.where(MEANS.any(0), BARRED, FREE)).astype(np.int8)
MODELS = pytest.mark.parametrize("name", SGG_MODELS)


def start_of(sizes=SIZES):
    start = DetectorStart(sizes)
    start.set_match(torch.from_numpy(MEANS), torch.from_numpy(ROLES))
    return start


def test_the_detectors_score_is_shared_by_the_names_it_goes_by():
    answer = start_of()(batch_of([0, 1, 2, -1], [0.8, 0.6, 0.9, 0.5]))
    assert answer.shares[0].numpy() == pytest.approx(
        np.array([[0.2, 0.8, 0, 0, 0, 0], [0.4, 0, 0.3, 0.3, 0, 0], [1, 0, 0, 0, 0, 0], [1, 0, 0, 0, 0, 0]])
    )
    # Smoothed between background and name 4, which it cannot know; between 2 and 3 it is even already.
    assert answer.logits[0, :3].exp().numpy() == pytest.approx(
        np.array(
            [[0.2 * 0.99, 0.8, 0, 0, 0.2 * 0.01, 0], [0.4 * 0.99, 0, 0.3, 0.3, 0.4 * 0.01, 0], [0.99, 0, 0, 0, 0.01, 0]]
        ),
        abs=1e-6,
    )
    assert answer.own[0].tolist() == [
        [False, True, False, False, False, False],
        [False, False, True, True, False, False],
        [False] * 6,
        [False] * 6,
    ]
    assert answer.logits[0, 3].tolist() == [0] * 6  # no category: the model is on its own


def test_labels_are_doubted_where_the_detector_says_otherwise():
    doubt = start_of()(batch_of([1, -1], [0.6, 0.5])).doubt[0, :, 1:].numpy()
    # Its own names are not; names it would have used are not believed at all; the others by as much as it is unsure.
    assert doubt == pytest.approx(np.array([[1, 0, 0, 0.6, 1], [0] * 5]))


def test_what_is_learnt_cannot_change_how_sure_the_detector_is():
    answer = start_of()(batch_of([1, -1], [0.6, 0.5]))
    residual = torch.tensor([[[0.0, 9, 2, 0, 3, 9], [0.0, 1, 2, 3, 4, 5]]])
    first, second = answer.moved(residual)[0].softmax(-1)
    within, beside = np.exp([2, 0]), np.array([0.99, 0.01 * np.exp(3)])
    assert first[[2, 3]].numpy() == pytest.approx(0.6 * within / within.sum())
    assert first[[0, 4]].numpy() == pytest.approx(0.4 * beside / beside.sum())
    assert first[[1, 5]].max() < 1e-15  # name 5 is the detector's to give
    torch.testing.assert_close(second, residual[0, 1].softmax(-1))


def test_a_model_stored_before_names_had_roles_is_loaded():
    state = start_of().state_dict()
    del state["roles"]
    start = DetectorStart(SIZES)
    start.load_state_dict(state)
    assert torch.equal(start.roles[:-1, 1:], torch.from_numpy(ROLES)) and (start.roles[:, 0] == FREE).all()


@MODELS
@pytest.mark.parametrize("text", [0, 7])
def test_no_training_makes_objects_worse_than_the_detector_finds_them(name, text):
    torch.manual_seed(0)
    model = SGG_MODELS[name](replace(SIZES, text=text, start=True)).eval()
    features = (name_features(5, 0), name_features(3, 1)) if text else (None, None)
    set_names(model, *features, (MEANS, ROLES))
    with torch.no_grad():  # as wrong as can be
        for parameter in model.parameters():
            parameter.copy_(3 * torch.randn_like(parameter))
    counted = np.array([-1, 0, 1, 1, -1, 3])  # the category that a name counts for
    for seed in range(5):
        regions = some_regions(12, seed)
        graph = predict(model, [regions])[0]
        known = np.isin(regions.labels, [0, 1, 3])
        kept = counted[graph.labels] >= 0
        # Regions without a category are the model's alone.
        silent = (box_iou(graph.boxes[:, None], regions.boxes[regions.labels < 0]) > 0.999).any(1)
        found = np.column_stack([counted[graph.labels], graph.scores, graph.boxes])[kept & ~silent]
        expected = np.column_stack([regions.labels, regions.scores, regions.boxes])[known]
        assert found[np.lexsort(found.T)] == pytest.approx(expected[np.lexsort(expected.T)], abs=1e-6)


@MODELS
@pytest.mark.parametrize("text", [0, 7])
def test_an_untrained_model_says_what_the_detector_says(name, text):
    torch.manual_seed(0)
    model = SGG_MODELS[name](replace(SIZES, text=text, start=True)).eval()
    features = (name_features(5, 0), name_features(3, 1)) if text else (None, None)
    set_names(model, *features, (MEANS, ROLES))
    batch = batch_of([0, 1, 3, -1], [0.9, 0.7, 0.8, 0.4])
    outputs = model(replace(batch, pairs=ordered_pairs(batch)))
    torch.testing.assert_close(outputs.objects, model.start(batch).logits)
    graph = predict(model, [replace(some_regions(3, 0), labels=np.array([0, 3, 0]))])[0]
    assert graph.labels.tolist() == [1, 5, 1]


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
    start = start_of(replace(SIZES, views=2))
    towards = np.array([[1, 0], [0, 1], [0, 1], [0, -1], [0.6, 0.8]], np.float32)
    start.set_views(torch.from_numpy(towards), 1.0)
    batch = batch_of([0, -1, 2], [0.8, 0.5, 0.9])
    batch = replace(batch, features=torch.cat([batch.features, torch.tensor([[[0.0, -2.0]] * 3])], -1))
    shares = start(batch).shares[0]
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
    doubt = torch.tensor([[[0, 0, 0.9], [0, 0, 0.7]]])
    logits = torch.tensor([[[0.0, 0, 1], [0.5, 1, 0]]])
    log = logits[0].log_softmax(-1)
    expected = -(0.1 * log[0, 2] + 0.9 * (0.1 * log[0, 0] + 0.9 * log[0, 1]) + log[1, 1]) / 2
    outputs = Outputs(logits, torch.zeros(0, 4), shares, doubt)
    losses = sgg_loss(outputs, batch, torch.zeros(0, dtype=torch.int64), LossConfig())
    assert float(losses.objects) == pytest.approx(float(expected))
