"""Names withheld from supervision: hard and soft labels, and pairs that are not drawn as background."""

import numpy as np
import pytest
import torch
from tiny_regions import some_regions

from groundgraph.data.types import SoftLabels
from groundgraph.sgg.batch import Sizes
from groundgraph.sgg.examples import Examples
from groundgraph.sgg.losses import LossConfig
from groundgraph.sgg.novel import withhold

CATEGORIES, PREDICATES = np.array([False, True, False]), np.array([True, False])  # 2 of 3, and 1 of 2, are withheld


@pytest.mark.parametrize("renumber", [True, False])
def test_hard_labels(renumber):
    hard = np.array([1, 2, 3, 0]), np.array([[0, 2, 2], [0, 1, 2], [2, 0, 1]])
    labels, relations = withhold(lambda i, rng: hard, CATEGORIES, PREDICATES, renumber)(0, None)
    last = 2 if renumber else 3
    assert labels.tolist() == [1, 0, last, 0]
    assert relations.tolist() == [[0, 2, 1 if renumber else 2], [2, 0, -1]]


def test_soft_labels():
    soft = SoftLabels(
        np.array([[0.2, 0.3, 0.4, 0.1], [0, 0, 1, 0]], np.float32),
        np.array([[0, 1]]),
        np.array([[0.1, 0.6, 0.3]], np.float32),
    )
    drawn = withhold(lambda i, rng: soft, CATEGORIES, PREDICATES)(0, None)
    assert drawn.objects == pytest.approx(np.array([[0.6, 0.3, 0.1], [1, 0, 0]]))
    assert drawn.predicates == pytest.approx(np.array([[0.7, 0.3]]))
    kept = withhold(lambda i, rng: soft, CATEGORIES, PREDICATES, renumber=False)(0, None)
    assert kept.objects == pytest.approx(np.array([[0.6, 0.3, 0, 0.1], [1, 0, 0, 0]]))


def test_a_pair_that_is_withheld_is_neither_relation_nor_background():
    hard = np.array([1, 1, 0]), np.array([[0, 1, -1], [1, 0, 1]])
    sizes = Sizes(features=6, detector_categories=4, categories=1, predicates=1)
    examples = Examples([some_regions(3, 0)], lambda i, rng: hard, sizes)
    rng, generator = np.random.default_rng(0), torch.Generator().manual_seed(0)
    ((batch, predicates),), _ = examples.parts([0], LossConfig(), rng, generator, [slice(0, 1)])
    assert predicates.tolist() == [1, 0, 0, 0, 0]
    assert [0, 0, 1] not in batch.pairs.tolist()
