"""Batches of soft labels: what training makes of them, and what it refuses."""

import numpy as np
import pytest
import torch
from tiny_regions import SIZES, some_regions

from groundgraph.data.types import SoftLabels
from groundgraph.sgg.examples import Examples
from groundgraph.sgg.losses import LossConfig

OBJECTS = np.array([[0.7, 0.3, 0, 0, 0, 0], [0.2, 0, 0.8, 0, 0, 0], [0.4, 0, 0, 0.6, 0, 0]], np.float32)
PREDICATES = np.array([[0.1, 0.9, 0, 0], [0.5, 0.2, 0.3, 0]], np.float32)
PAIRS = np.array([[1, 2], [2, 0]])


def examples(**changes):
    labels = SoftLabels(**({"objects": OBJECTS, "pairs": PAIRS, "predicates": PREDICATES} | changes))
    return Examples([some_regions(3, 0), some_regions(3, 1)], lambda i, rng: labels, SIZES)


def batch(which=(0, 1), examples_=None, **options):
    generator = torch.Generator().manual_seed(0)
    config, whole = LossConfig(**options), [slice(0, len(which))]
    return (examples_ or examples()).parts(which, config, np.random.default_rng(0), generator, whole)[0][0]


def test_a_batch_holds_distributions_and_their_likeliest_labels():
    found, predicates = batch(pairs_per_image=4)
    assert found.targets.tolist() == [[0, 2, 3]] * 2
    assert found.soft[0].numpy() == pytest.approx(OBJECTS)
    rows = {tuple(p): q for p, q in zip(found.pairs.tolist(), predicates.numpy(), strict=True)}
    assert len(rows) == 8
    for image in (0, 1):
        assert rows[image, 1, 2] == pytest.approx(PREDICATES[0])
        assert rows[image, 2, 0] == pytest.approx(PREDICATES[1])
        # Regions 1 and 2 are labelled: their other pair comes first, and is background for sure.
        assert rows[image, 2, 1].tolist() == [1, 0, 0, 0]


def test_an_image_without_pairs_still_trains_objects():
    found, predicates = batch(examples_=examples(pairs=np.zeros((0, 2)), predicates=np.zeros((0, 4))))
    assert found.soft.shape == (2, 3, 6)
    assert found.pairs.shape == (0, 3)
    assert predicates.shape == (0, 4)


def test_soft_labels_count_as_the_likeliest_category_and_the_predicates_shares():
    counts = examples().predicate_counts([0], np.random.default_rng(0))
    assert counts[2, 3].tolist() == pytest.approx(PREDICATES[0].tolist())
    assert counts[3, 1].tolist() == pytest.approx(PREDICATES[1].tolist())  # region 0 goes as its best category
    assert counts[3, 2].tolist() == [1, 0, 0, 0]
    assert counts.sum() == pytest.approx(3)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"objects": OBJECTS * 0.9}, "labels must be distributions over 6 classes"),
        ({"objects": OBJECTS[:, :5]}, "labels must be distributions over 6 classes"),
        ({"objects": OBJECTS[:2]}, "differ in number"),
        ({"predicates": PREDICATES - 0.1}, "predicates must be distributions over 4 classes"),
        ({"predicates": PREDICATES[:1]}, "pairs and their predicates differ in number"),
        ({"pairs": np.array([[0, 1], [1, 3]])}, "names a region"),
        ({"pairs": np.array([[0, 1], [1, 1]])}, "with itself"),
    ],
)
def test_wrong_soft_labels_are_named(changes, message):
    with pytest.raises(ValueError, match=message):
        batch(examples_=examples(**changes))


def test_soft_and_hard_labels_do_not_mix():
    soft = SoftLabels(OBJECTS, PAIRS, PREDICATES)
    hard = (np.array([1, 2, 0]), np.zeros((0, 3), int))
    mixed = Examples([some_regions(3, 0), some_regions(3, 1)], lambda i, rng: (soft, hard)[i], SIZES)
    with pytest.raises(ValueError, match="all hard or all soft"):
        batch(examples_=mixed)
