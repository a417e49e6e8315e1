"""What every detector that looks at images shares: batching, skipping, dropping, recording."""

import numpy as np
import pytest
from PIL import Image

from groundgraph.data.types import Example, Regions, Skipped
from groundgraph.vision import load_detector
from groundgraph.vision.detector import ImageDetector, usable


class Mean(ImageDetector):
    """One region an image, the whole of it, its feature the mean colour; a black image has none."""

    batch_size = 2

    def __init__(self):
        super().__init__(["thing"])
        self.batches = []

    def regions(self, images):
        self.batches.append(len(images))
        return [self.one(image) for image in images]

    def one(self, image):
        feature = np.asarray(image, np.float32).mean((0, 1))[None]
        count = int(feature.sum() > 0)
        box = np.array([[0, 0, *image.size]], np.float32)
        return Regions(box[:count], np.zeros(count, int), np.ones(count, np.float32), feature[:count], image.size)


def test_detect_keeps_the_order_and_records_what_is_broken(tmp_path):
    for number in range(4):
        Image.new("RGB", (5 + number, 4), (number, 0, 0)).save(tmp_path / f"{number}.png")
    (tmp_path / "broken.png").write_text("no image")
    names = ["1.png", "broken.png", "gone.png", "3.png", "0.png", "2.png"]
    detector, skipped = Mean(), Skipped()
    found = detector.detect([Example(name, str(tmp_path / name)) for name in names], skipped)
    assert [None if r is None else float(r.features[0, 0]) for r in found] == [1, None, None, 3, None, 2]
    assert [what for what, _ in skipped.items] == ["broken.png", "gone.png", "0.png"]
    assert sum(detector.batches) == 4 and max(detector.batches) <= 2
    assert found[3].size == (8, 4) and detector.categories == ("thing",)
    assert detector.detect([], Skipped()) == []


def test_a_detector_without_pooling_says_what_to_use():
    with pytest.raises(ValueError, match=r"Mean has features only for the regions it finds.*use kind torchvision"):
        Mean().pool([], [])


def test_unusable_regions_are_dropped_and_recorded():
    boxes = np.array([[0, 0, 5, 5], [0, 0, 5, 5], [2, 2, 2, 9], [1, 1, 4, 4]], np.float32)
    features = np.ones((4, 2), np.float32)
    features[1, 0] = np.nan
    regions = Regions(boxes, np.arange(4), np.ones(4, np.float32), features, (9, 9))
    skipped = Skipped()
    kept = usable(regions, Example("x", "x.png"), skipped)
    assert kept.labels.tolist() == [0, 3] and kept.features.shape == (2, 2)
    assert len(skipped.items) == 1 and skipped.items[0][1].startswith("2 regions")
    features[:] = np.inf
    assert usable(regions, Example("x", "x.png"), skipped) is None
    assert "no usable region in x.png" in skipped.items[-1][1]


def test_unknown_kind():
    with pytest.raises(ValueError, match="choose one of torchvision, transformers, open-vocabulary, precomputed"):
        load_detector("yolo", "anything")
