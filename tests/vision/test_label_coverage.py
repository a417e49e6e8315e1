"""A detector that knows less, or errs more, than it does: which labels are left, and which are wrong."""

import numpy as np
import pytest

from groundgraph.data.types import Example, Regions, Skipped
from groundgraph.vision.label_coverage import CoveredDetector, LabelCoverage, category_order

NAMES = ("cat", "dog", "hat", "man")


def regions(*labels):
    count = len(labels)
    boxes = np.arange(4 * count, dtype=np.float32).reshape(-1, 4)
    return Regions(
        boxes, np.array(labels, np.int64), np.ones(count, np.float32), np.eye(count, dtype=np.float32), (9, 9)
    )


def test_the_detector_as_it_is():
    coverage = LabelCoverage(NAMES)
    assert coverage.categories == NAMES
    assert coverage.labels("a", np.array([3, -1, 0])).tolist() == [3, -1, 0]


def test_categories_that_are_left_by_name():
    coverage = LabelCoverage(NAMES, ("man", "dog"))
    assert coverage.categories == ("dog", "man")  # the detector's order
    assert coverage.labels("a", np.array([0, 1, 2, 3, -1])).tolist() == [-1, 0, -1, 1, -1]
    found, kept = regions(0, 3), coverage.regions("a", regions(0, 3))
    assert kept.labels.tolist() == [-1, 1] and kept.features is not found.labels
    assert np.array_equal(kept.boxes, found.boxes) and np.array_equal(kept.features, found.features)


def test_fewer_are_among_more_whatever_the_detectors_order():
    names = [f"kind {i}" for i in range(53)]
    ten, twenty = (set(LabelCoverage(names, count).categories) for count in (10, 20))
    assert len(ten) == 10 and len(twenty) == 20 and ten < twenty
    assert set(LabelCoverage(names[::-1], 10).categories) == ten
    # zlib.crc32: 812c397d and 9e5e43a8.
    assert category_order(("cat", "dog")) == ["dog", "cat"]


def test_a_share_of_the_labels_is_wrong():
    labels = np.tile([0, 1, 2, 3, -1], 4000)
    found = {
        noise: LabelCoverage(NAMES, ("cat", "dog", "man"), noise, seed=5).labels("a", labels) for noise in (0, 0.2, 0.4)
    }
    right, known = found[0], found[0] >= 0
    assert known.tolist() == np.isin(labels, (0, 1, 3)).tolist()
    for noise in (0.2, 0.4):
        wrong = found[noise] != right
        assert not wrong[~known].any()
        assert wrong[known].mean() == pytest.approx(noise, abs=0.02)  # of 12,000
        # Each of the two others about as often.
        others = np.bincount((found[noise] - right)[wrong & known] % 3, minlength=3)
        assert others[0] == 0 and others[1] / others.sum() == pytest.approx(0.5, abs=0.05)
    assert (found[0.4] != right)[found[0.2] != right].all()
    all_wrong = LabelCoverage(NAMES, None, 1.0).labels("a", np.arange(4))
    assert (all_wrong != np.arange(4)).all()


def test_drawn_by_seed_and_image():
    labels = np.zeros(200, np.int64)

    def wrong(seed, image_id):
        return LabelCoverage(NAMES, None, 0.5, seed).labels(image_id, labels).tolist()

    assert wrong(0, "a") == wrong(0, "a")
    assert wrong(0, "a") != wrong(1, "a") and wrong(0, "a") != wrong(0, "b")


@pytest.mark.parametrize(
    ("known", "noise", "why"),
    [(5, 0.0, "5, but the detector has 4"), (("cow",), 0.0, "no category 'cow'"), (("cat",), 0.1, "second category")],
)
def test_what_it_cannot_do(known, noise, why):
    with pytest.raises(ValueError, match=why):
        LabelCoverage(NAMES, known, noise)


class Finder:
    categories = NAMES

    def detect(self, examples, skipped):
        return [regions(0, 3) if example.image_id == "a" else None for example in examples]

    def pool(self, images, boxes):
        return [regions(*([3] * len(own))) for own in boxes]


def test_around_a_detector():
    detector = CoveredDetector(Finder(), LabelCoverage(NAMES, ("man",)))
    assert detector.categories == ("man",)
    one, none = detector.detect([Example("a", "a.png"), Example("b", "b.png")], Skipped())
    assert one.labels.tolist() == [-1, 0] and none is None
    assert [own.labels.tolist() for own in detector.pool([None, None], [[0], [0, 0]])] == [[0], [0, 0]]
