"""SGDet inference with a model whose answers are known."""

import numpy as np
import pytest
import torch
from torch import nn

from groundgraph.data.types import Regions
from groundgraph.sgg.batch import Outputs, Sizes
from groundgraph.sgg.inference import InferenceConfig, predict


class Known(nn.Module):
    """Probabilities of objects are the regions' features; a pair's are read off the two regions' boxes."""

    sizes = Sizes(features=3, detector_categories=2, categories=2, predicates=2)

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(1))

    def forward(self, batch):
        image, subject, object_ = batch.pairs.unbind(1)
        gap = (batch.boxes[image, object_, 0] - batch.boxes[image, subject, 0]) / 100
        logits = torch.stack([torch.zeros_like(gap), gap, -gap], 1)
        return Outputs(batch.features.clamp(min=1e-9).log(), logits)


def regions(boxes, probabilities):
    count = len(boxes)
    return Regions(
        np.array(boxes, np.float32).reshape(-1, 4),
        np.zeros(count, np.int64),
        np.ones(count, np.float32),
        np.array(probabilities, np.float32).reshape(-1, 3),
        (100, 100),
    )


BOXES = [[0, 0, 10, 10], [1, 0, 11, 10], [0, 0, 10, 10], [50, 0, 60, 10]]
PROBABILITIES = [[0.5, 0.3, 0.2], [0.1, 0.8, 0.1], [0.2, 0.1, 0.7], [0.9, 0.06, 0.04]]


def test_labels_duplicates_pairs_and_ranking_by_hand():
    # Region 0 (label 1, .3) falls to region 1 (label 1, .8, IoU 9/11); 2 has another label; 3 is nearly background.
    graph = predict(Known(), [regions(BOXES, PROBABILITIES)])[0]
    np.testing.assert_array_equal(graph.boxes, np.array(BOXES, np.float32)[1:])
    assert graph.labels.tolist() == [1, 2, 1]
    assert graph.scores.tolist() == pytest.approx([0.8, 0.7, 0.06])
    assert graph.predicate_scores.shape == (6, 3)
    np.testing.assert_allclose(graph.predicate_scores.sum(1), 1, atol=1e-6)
    strength = graph.scores[graph.pairs].prod(1) * graph.predicate_scores[:, 1:].max(1)
    assert (np.diff(strength) <= 1e-7).all()
    assert {tuple(p) for p in graph.pairs.tolist()} == {(i, j) for i in range(3) for j in range(3) if i != j}
    assert {tuple(p) for p in graph.pairs[:2].tolist()} == {(0, 1), (1, 0)}
    # The pair's scores are its own: from box 1 to box 2 the gap is -1, from 1 to 3 it is 49.
    row = graph.predicate_scores[graph.pairs.tolist().index([0, 2])]
    np.testing.assert_allclose(row, np.exp([0, 0.49, -0.49]) / np.exp([0, 0.49, -0.49]).sum(), rtol=1e-5)


def test_options():
    one = [regions(BOXES, PROBABILITIES)]
    assert len(predict(Known(), one, InferenceConfig(pairs=2))[0].pairs) == 2
    assert len(predict(Known(), one, InferenceConfig(nms_threshold=0.9))[0].boxes) == 4
    overlapping = predict(Known(), one, InferenceConfig(overlapping=True))[0]
    assert {tuple(p) for p in overlapping.pairs.tolist()} == {(0, 1), (1, 0)}
    assert len(overlapping.boxes) == 3


def test_images_without_regions_with_one_and_batches_keep_their_order():
    none, single = regions([], []), regions(BOXES[:1], PROBABILITIES[:1])
    images = [none, single, regions(BOXES, PROBABILITIES), none, regions(BOXES[2:], PROBABILITIES[2:])]
    seen, model = [], Known().train()
    graphs = predict(model, images, InferenceConfig(batch_size=2), progress=lambda *state: seen.append(state))
    assert [len(g.boxes) for g in graphs] == [0, 1, 3, 0, 2]
    assert [len(g.pairs) for g in graphs] == [0, 0, 6, 0, 2]
    assert graphs[0].predicate_scores.shape == (0, 3)
    assert seen == [(2, 3), (3, 3)]
    assert model.training
    for graph, image in zip(graphs, images, strict=True):
        alone = predict(Known(), [image])[0]
        np.testing.assert_allclose(graph.predicate_scores, alone.predicate_scores)
        np.testing.assert_array_equal(graph.pairs, alone.pairs)
    assert predict(Known(), []) == []


def test_relabelled_duplicates_take_their_next_best_label():
    # Region 0 (label 1, .3) lies on region 1 (label 1, .8) and takes label 2, which region 2 (.7) has taken from it
    # too: of both lost labels it keeps the better one.
    graph = predict(Known(), [regions(BOXES, PROBABILITIES)], InferenceConfig(duplicates="relabel"))[0]
    assert graph.labels.tolist() == [1, 1, 2, 1]
    assert len(graph.boxes) == 4
    apart = [[0, 0, 10, 10], [1, 0, 11, 10]]
    graph = predict(Known(), [regions(apart, PROBABILITIES[:2])], InferenceConfig(duplicates="relabel"))[0]
    assert graph.labels.tolist() == [2, 1]
    assert graph.scores.tolist() == pytest.approx([0.2, 0.8])


def test_given_boxes_all_stay_in_order_and_every_pair_counts():
    config = InferenceConfig(overlapping=True)
    graph = predict(Known(), [regions(BOXES, PROBABILITIES)], config, task="sgcls")[0]
    np.testing.assert_array_equal(graph.boxes, np.array(BOXES, np.float32))
    assert graph.labels.tolist() == [1, 1, 2, 1]
    assert graph.scores.tolist() == pytest.approx([0.3, 0.8, 0.7, 0.06])
    assert len(graph.pairs) == 12


def test_given_labels_have_score_one_and_rank_pairs_by_the_predicate_alone():
    known = [np.array([2, 1, 1, 2]), np.zeros(0, int)]
    graphs = predict(Known(), [regions(BOXES, PROBABILITIES), regions([], [])], task="predcls", labels=known)
    assert graphs[0].labels.tolist() == [2, 1, 1, 2]
    assert graphs[0].scores.tolist() == [1] * 4
    best = graphs[0].predicate_scores[:, 1:].max(1)
    assert (np.diff(best) <= 1e-7).all()
    assert len(graphs[0].pairs) == 12
    assert len(graphs[1].pairs) == 0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"task": "sgdetection"}, "one of sgdet, sgcls, predcls"),
        ({"task": "predcls"}, "labels are given for predcls"),
        ({"task": "sgcls", "labels": [np.array([1])]}, "for predcls only"),
        ({"task": "predcls", "labels": []}, "0 images with labels for 1"),
        ({"task": "predcls", "labels": [np.array([3])]}, "must lie in 1..2"),
        ({"task": "predcls", "labels": [np.array([1, 2])]}, "differ in number"),
    ],
)
def test_tasks_and_labels_that_do_not_fit_are_named(options, message):
    with pytest.raises(ValueError, match=message):
        predict(Known(), [regions(BOXES[:1], PROBABILITIES[:1])], **options)
