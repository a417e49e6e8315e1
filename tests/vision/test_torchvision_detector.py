"""Regions of a torchvision Faster R-CNN: their shape, the rules that pick them, and how one is loaded."""

import json
import logging
from dataclasses import asdict

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file
from torchvision.ops import box_iou

from groundgraph.models import FOLDER
from groundgraph.vision import load_detector
from groundgraph.vision.small_faster_rcnn import SmallConfig, small_faster_rcnn
from groundgraph.vision.torchvision_detector import TorchvisionDetector

pytestmark = pytest.mark.usefixtures("one_thread")
TINY = SmallConfig(side=32, widths=(4, 4, 8, 8), channels=8, anchors=((6,), (12,), (24,)), features=10)
NAMES = ("cat", "dog", "hat")


def network(seed=0):
    torch.manual_seed(seed)
    return small_faster_rcnn(TINY, len(NAMES))


def pictures(*sizes):
    random = np.random.default_rng(0)
    return [Image.fromarray(random.integers(0, 255, (h, w, 3), np.uint8)) for w, h in sizes]


def test_regions_have_the_promised_shapes():
    detector = TorchvisionDetector(network(), NAMES, count=7)
    found = detector.regions(pictures((32, 32), (64, 48), (20, 40)))
    for regions, size in zip(found, ((32, 32), (64, 48), (20, 40)), strict=True):
        assert regions.size == size and 0 < len(regions) <= 7
        assert regions.boxes.shape == (len(regions), 4) and regions.boxes.dtype == np.float32
        assert regions.features.shape == (len(regions), 10) and regions.features.dtype == np.float32
        assert regions.labels.dtype == np.int64 and set(regions.labels) <= {-1, 0, 1, 2}
        assert (np.diff(regions.scores) <= 0).all() and regions.scores.min() >= 0 and regions.scores.max() <= 1
        assert (regions.boxes >= 0).all() and (regions.boxes <= np.array(size * 2) + 1e-3).all()
    assert detector.regions([]) == []


def test_an_image_is_the_same_alone_and_in_a_batch():
    detector = TorchvisionDetector(network(), NAMES, count=5)
    images = pictures((32, 32), (32, 32))
    for alone, together in zip((detector.regions([i])[0] for i in images), detector.regions(images), strict=True):
        assert np.allclose(alone.boxes, together.boxes, atol=1e-3)
        assert np.allclose(alone.features, together.features, atol=1e-4)


def test_no_two_regions_overlap_more_than_the_suppression():
    for limit in (0.3, 0.65):
        detector = TorchvisionDetector(network(), NAMES, nms_threshold=limit)
        boxes = torch.from_numpy(detector.regions(pictures((32, 32)))[0].boxes)
        overlap = box_iou(boxes, boxes).fill_diagonal_(0)
        assert len(boxes) > 3 and float(overlap.max()) <= limit + 1e-5


def test_scores_mix_class_probability_and_objectness():
    """With the classifier's weights at zero every class has probability 1/4, so objectness decides the rest."""
    model = network()
    torch.nn.init.zeros_(model.roi_heads.box_predictor.scores.weight)
    torch.nn.init.zeros_(model.roi_heads.box_predictor.scores.bias)
    images = pictures((32, 32))
    plain = TorchvisionDetector(model, NAMES, objectness_weight=0.0).regions(images)[0]
    assert np.allclose(plain.scores, 0.25)
    mixed = TorchvisionDetector(model, NAMES, objectness_weight=1.0).regions(images)[0]
    assert mixed.scores.max() > 0.25 and mixed.scores.min() >= 0.25 - 1e-6
    assert (plain.labels == -1).all()  # 1/4 is below the .5 it takes to commit
    assert (TorchvisionDetector(model, NAMES, label_threshold=0.2).regions(images)[0].labels >= 0).all()


def test_given_boxes_get_features_in_their_order():
    detector = TorchvisionDetector(network(), NAMES, count=6)
    images = pictures((64, 48), (32, 32))
    found = detector.regions(images)
    pooled = detector.pool(images, [r.boxes[::-1] for r in found])
    for own, given in zip(found, pooled, strict=True):
        assert np.array_equal(given.boxes, own.boxes[::-1]) and given.size == own.size
        assert np.allclose(given.features, own.features[::-1], atol=1e-3)
        assert np.array_equal(given.labels, own.labels[::-1])
    assert len(detector.pool(images[:1], [np.zeros((0, 4))])[0]) == 0


def folder(tmp_path, **changes):
    described = {"model": asdict(TINY), "regions": {"count": 4}, "categories": NAMES} | changes
    (tmp_path / "config.json").write_text(json.dumps(described))
    save_file(
        {k: v.half() if v.is_floating_point() else v for k, v in network().state_dict().items()},
        tmp_path / "model.safetensors",
    )
    return tmp_path


def test_a_folder_is_loaded_with_its_settings(tmp_path):
    detector = load_detector("torchvision", str(folder(tmp_path)))
    assert detector.categories == NAMES and detector.count == 4
    image = pictures((32, 32))
    assert len(detector.regions(image)[0]) == 4
    assert load_detector("torchvision", str(tmp_path), count=2).count == 2
    direct = TorchvisionDetector(network(), NAMES, count=4).regions(image)[0]
    assert np.allclose(detector.regions(image)[0].features, direct.features, atol=0.05)  # float16 on disk


def test_settings_of_older_versions_are_read_by_their_old_names(tmp_path):
    place = folder(tmp_path, regions={"count": 4, "suppression": 0.5, "commit": 0.2})
    detector = load_detector("torchvision", str(place))
    assert (detector.nms_threshold, detector.label_threshold) == (0.5, 0.2)


def test_broken_folders_are_named(tmp_path):
    with pytest.raises(ValueError, match=r"does not exist|no such detector folder"):
        load_detector("torchvision", str(tmp_path / "nowhere"))
    with pytest.raises(ValueError, match="no such detector folder"):
        load_detector("torchvision", "fasterrcnn_of_mine")
    folder(tmp_path, regions={"colour": "red"})
    with pytest.raises(ValueError, match=r"config\.json: not a detector's config"):
        load_detector("torchvision", str(tmp_path))
    folder(tmp_path, categories=["cat"])
    with pytest.raises(ValueError, match=r"model\.safetensors: cannot be loaded"):
        load_detector("torchvision", str(tmp_path))
    folder(tmp_path)
    weights = tmp_path / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-10])
    with pytest.raises(ValueError, match=r"model\.safetensors: cannot be loaded"):
        load_detector("torchvision", str(tmp_path))


@pytest.mark.slow
def test_a_torchvision_model_by_name_reads_the_hub_cache(tmp_path, monkeypatch, caplog):
    from torchvision.models import detection

    caplog.set_level(logging.CRITICAL)
    name = "fasterrcnn_mobilenet_v3_large_320_fpn"
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    cached = tmp_path / "checkpoints" / "fasterrcnn_mobilenet_v3_large_320_fpn-907ea3f9.pth"
    cached.parent.mkdir()
    torch.manual_seed(0)
    torch.save(getattr(detection, name)(weights=None, weights_backbone=None).state_dict(), cached)
    detector = load_detector("torchvision", name, count=5)
    assert detector.categories[:2] == ("person", "bicycle") and len(detector.categories) == 90
    regions = detector.regions(pictures((60, 40)))[0]
    assert regions.features.shape[1] == 1024 and len(regions) <= 5 and regions.size == (60, 40)
    cached.write_bytes(b"broken")
    with pytest.raises(ValueError, match=r"907ea3f9\.pth: cannot be loaded"):
        load_detector("torchvision", name)


@pytest.mark.slow
@pytest.mark.skipif(not (FOLDER / "detector" / "config.json").is_file(), reason="the bundled detector is not here")
def test_the_bundled_detector_keeps_its_promises():
    """AP50 of at least .55 on what it was taught; .90 of all objects covered, those it was never taught included."""
    from groundgraph.data.minigenome import HELDOUT_SEED, UNSEEN
    from tools.train_detector import draw, evaluate

    detector = load_detector("torchvision", "bundled:detector")
    assert UNSEEN.isdisjoint(detector.categories)
    figures = evaluate(detector, [draw((HELDOUT_SEED, 10_000 + index)) for index in range(100)])
    assert figures["AP50, seen categories"] >= 0.9  # the card says .98; the floor that matters is .55
    assert figures["covered, all objects"] >= 0.95
    assert figures["covered, unseen categories"] >= 0.85
