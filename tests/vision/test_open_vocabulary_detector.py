"""Open-vocabulary detectors, tiny random ones: names in, regions labelled with those names out."""

import numpy as np
import pytest
import torch
from PIL import Image
from tiny_open_vocabulary import KINDS, save_open_vocabulary

from groundgraph.data.types import Example, Skipped
from groundgraph.vision import load_detector


@pytest.fixture(scope="module", params=KINDS)
def folder(request, tmp_path_factory):
    return save_open_vocabulary(tmp_path_factory.mktemp(request.param), request.param)


def pictures(*sizes):
    random = np.random.default_rng(0)
    return [Image.fromarray(random.integers(0, 255, (h, w, 3), np.uint8)) for w, h in sizes]


def test_regions_carry_the_vocabularys_labels(folder):
    path, kind = folder
    names = ("cat", "remote control", "hats")
    detector = load_detector("open-vocabulary", str(path), vocabulary=names, count=5)
    detector.label_threshold = 0.0
    assert detector.categories == names
    sizes = ((40, 32), (32, 60), (40, 32))
    for regions, size in zip(detector.regions(pictures(*sizes)), sizes, strict=True):
        assert 0 < len(regions) <= 5 and regions.size == size and set(regions.labels) <= {0, 1, 2}
        assert regions.features.shape == (len(regions), 32 if kind == "grounding-dino" else 16)
        assert np.isfinite(regions.features).all() and (np.diff(regions.scores) <= 0).all()
        assert (regions.boxes >= 0).all() and (regions.boxes <= np.array(size * 2)).all()
    assert detector.regions([]) == []


def test_boxes_and_scores_are_the_models_own_post_processing(folder):
    """OWLv2's padding to a square, and the classes, agree with transformers' own reading of the output."""
    path, kind = folder
    names, image = ["cat", "dog"], pictures((48, 32))[0]
    detector = load_detector("open-vocabulary", str(path), vocabulary=names, count=100)
    detector.nms_threshold, detector.label_threshold = 1.0, 0.0
    regions = detector.regions([image])[0]
    asked = "cat. dog." if kind == "grounding-dino" else [[f"a photo of a {name}" for name in names]]
    inputs = detector.processor(images=[image], text=asked, return_tensors="pt")
    with torch.no_grad():
        output = detector.model(**inputs)
    if kind == "grounding-dino":
        assert inputs["input_ids"][0].tolist() == [2, 5, 4, 6, 4, 3]  # [CLS] cat . dog . [SEP]
        chance = output.logits[0].sigmoid()[:, [1, 3]]
        read = detector.processor.post_process_grounded_object_detection(output, threshold=0, target_sizes=[(32, 48)])
    else:
        chance = output.logits[0].sigmoid()
        read = detector.processor.image_processor.post_process_object_detection(output, 0, [(32, 48)])
    scores, labels = chance.max(1)
    boxes = read[0]["boxes"].clamp(min=0).minimum(torch.tensor([48.0, 32, 48, 32]))
    wide = ((boxes[:, 2:] - boxes[:, :2]).amin(1) >= 1).nonzero()[:, 0]
    order = wide[scores[wide].argsort(descending=True, stable=True)]
    assert len(regions) == len(order) > 2
    assert np.allclose(regions.scores, scores[order], atol=1e-5)
    for row, score in enumerate(scores[order]):  # equal scores may stand in another order
        equal = boxes[(scores - score).abs() < 1e-5].numpy()
        assert np.abs(equal - regions.boxes[row]).sum(1).min() < 0.01
    assert np.bincount(regions.labels, minlength=2).tolist() == np.bincount(labels[order].numpy(), minlength=2).tolist()


def test_every_image_is_asked_for_its_own_nouns(folder, tmp_path):
    path, _ = folder
    for number, image in enumerate(pictures((40, 32), (40, 32), (40, 32), (32, 40))):
        image.save(tmp_path / f"{number}.png")
    nouns = {"0": ["dog"], "1": ["Cat", "hat", "cat"], "3": []}
    detector = load_detector("open-vocabulary", str(path), vocabulary=["tree"], nouns=nouns, count=4)
    detector.label_threshold = 0.0
    assert detector.categories == ("tree", "cat", "dog", "hat")
    skipped = Skipped()
    found = detector.detect([Example(str(i), str(tmp_path / f"{i}.png")) for i in range(4)], skipped)
    said = [None if r is None else {detector.categories[label] for label in r.labels} for r in found]
    assert said[0] == {"dog"} and said[1] <= {"cat", "hat"} and said[2] == {"tree"} and said[3] is None
    assert [what for what, _ in skipped.items] == ["3"]  # nothing to look for, said so
    alone = load_detector("open-vocabulary", str(path), vocabulary=["dog"], count=4).regions(
        [Image.open(tmp_path / "0.png").convert("RGB")]
    )[0]
    assert np.allclose(alone.boxes, found[0].boxes, atol=1e-2)  # neighbours with longer prompts change nothing
    assert np.allclose(alone.scores, found[0].scores, atol=1e-4)


def test_a_long_vocabulary_goes_through_in_passes(folder, monkeypatch):
    path, kind = folder
    monkeypatch.setattr("groundgraph.vision.open_vocabulary_detector.OWL_NAMES", 2)
    names = ["cat", "dog", "remote control", "hats", "tree", "hat", "control"]
    detector = load_detector("open-vocabulary", str(path), vocabulary=names, count=8)
    detector.label_threshold = 0.0
    parts = detector._passes(detector.categories)
    assert [name for part in parts for name in part] == names and len(parts) > 1
    if kind == "grounding-dino":  # 12 word pieces: two of the model's own, each name its pieces and a full stop
        assert parts == [["cat", "dog", "remote control", "hats"], ["tree", "hat", "control"]]
    regions = detector.regions(pictures((40, 32)))[0]
    assert 0 < len(regions) <= 8 and (np.diff(regions.scores) <= 0).all() and set(regions.labels) <= set(range(7))


def test_given_boxes_are_pooled_from_the_map(folder):
    path, _ = folder
    detector = load_detector("open-vocabulary", str(path), vocabulary=["cat"], features="map", count=3)
    image = pictures((48, 32))[0]
    regions = detector.regions([image])[0]
    assert len(regions) and regions.features.shape[1] >= 16
    given = detector.pool([image], [regions.boxes[::-1]])[0]
    assert np.allclose(given.features, regions.features[::-1], atol=1e-4)


def test_names_are_needed_and_cleaned(folder):
    path, _ = folder
    with pytest.raises(ValueError, match="needs names to look for"):
        load_detector("open-vocabulary", str(path))
    detector = load_detector("open-vocabulary", str(path), vocabulary=["St. Cat", " ", "<b>\nDog", "st cat"])
    assert detector.categories == ("st cat", "<b> dog") and len(detector.regions(pictures((40, 32)))) == 1


def test_what_is_no_open_vocabulary_detector(tmp_path):
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(ValueError, match="cannot load an open-vocabulary detector"):
        load_detector("open-vocabulary", str(tmp_path), vocabulary=["cat"])
