"""The detector's training: what it is shown, how it is measured, what it leaves behind."""

import json

import numpy as np
import pytest

from groundgraph.data.minigenome import UNSEEN
from groundgraph.data.types import Regions
from tools import train_detector
from tools.train_detector import SEEN, Drawn, average_precision, batch, coverage


def scene(boxes, names):
    return Drawn(np.zeros((10, 10, 3), np.uint8), np.array(boxes, np.float32), tuple(names))


def regions(boxes, labels, scores):
    count = len(boxes)
    boxes = np.array(boxes, np.float32).reshape(-1, 4)
    features = np.zeros((count, 1), np.float32)
    return Regions(boxes, np.array(labels, np.int64), np.array(scores, np.float32), features, (10, 10))


def test_a_mirrored_image_mirrors_its_boxes():
    one = scene([[1, 2, 4, 6]], [SEEN[3]])
    one.pixels[:, 1] = 255
    images, targets = batch([one, one], np.array([False, True]))
    assert targets[0]["boxes"].tolist() == [[1, 2, 4, 6]] and targets[1]["boxes"].tolist() == [[6, 2, 9, 6]]
    assert targets[0]["labels"].tolist() == [4]
    assert images[0][0, 0].tolist() == [0, 1] + [0] * 8 and images[1][0, 0].tolist() == [0] * 8 + [1, 0]


def test_coverage_counts_objects():
    new = sorted(UNSEEN)[0]
    scenes = [scene([[0, 0, 4, 4], [5, 5, 9, 9]], [SEEN[0], new]), scene([[0, 0, 2, 2]], [SEEN[1]])]
    found = [regions([[0, 0, 4, 3], [5, 5, 7, 7]], [0, -1], [0.9, 0.8]), regions([], [], [])]
    figures = coverage(found, scenes)  # IoU .75, .25 and none
    assert figures == {
        "covered, all objects": pytest.approx(1 / 3),
        "covered, seen categories": 0.5,
        "covered, unseen categories": 0.0,
    }


def test_average_precision_of_the_seen_categories():
    new = sorted(UNSEEN)[0]
    scenes = [scene([[0, 0, 4, 4], [5, 5, 9, 9], [0, 5, 4, 9]], ["man", "horse", new])]
    man, horse = SEEN.index("man"), SEEN.index("horse")
    found = [regions([[0, 0, 4, 4], [0, 5, 4, 9], [5, 5, 9, 9]], [man, horse, -1], [0.9, 0.8, 0.7])]
    figures = average_precision(found, scenes, SEEN)  # the horse is called so elsewhere, and where it is has no name
    assert figures == {"AP50, seen categories": pytest.approx(0.5), "AP50 man": pytest.approx(1), "AP50 horse": 0.0}


@pytest.mark.slow
@pytest.mark.usefixtures("one_thread")
def test_a_short_training_leaves_a_detector_and_its_card(tmp_path, monkeypatch):
    monkeypatch.setattr(train_detector, "threads", lambda: 1)
    figures = train_detector.train_detector(tmp_path / "d", 3, images=12, heldout=6, batch_size=4)
    assert 0 <= figures["AP50, seen categories"] <= 1
    described = json.loads((tmp_path / "d" / "config.json").read_text())
    assert UNSEEN.isdisjoint(described["categories"]) and described["regions"]["count"] == 36
    card = (tmp_path / "d" / "README.md").read_text()
    assert "never seen: bed" in card and "| covered, all objects | 0." in card
    assert (tmp_path / "d" / "model.safetensors").stat().st_size < 6e6
