"""Regions without features of their own: annotated boxes in an order that says nothing, detections from files."""

import json

import numpy as np
import pytest

from groundgraph.data.types import Example, GroundTruth, Skipped
from groundgraph.errors import InputError
from groundgraph.formats.detections import DetectionFile
from groundgraph.language.concepts import names_match
from groundgraph.language.encoder import TextEncoder
from groundgraph.vision import load_detector
from groundgraph.vision.annotated import AnnotatedBoxes
from groundgraph.vision.named import NamedDetector, box_place

BOXES = np.array([[0, 0, 10, 20], [5, 5, 25, 15], [30, 0, 40, 40], [0, 0, 50, 50], [1, 1, 9, 9]], np.float32)
LABELS = ("person", "horse", "person", "tree", "dog")


def named(kind, source):
    return NamedDetector(load_detector(kind, source, device="cpu", count=36), TextEncoder(device="cpu"))


def example(name, boxes=BOXES, labels=LABELS, relations=((0, "ride", 1),)):
    return Example(name, name, (), (("person", "ride", "horse"),), GroundTruth(boxes, labels, relations), (60, 60))


def test_annotated_boxes_come_in_an_order_that_the_annotation_does_not_give():
    examples = [example(f"{i}.jpg") for i in range(40)]
    found = AnnotatedBoxes().detect(examples, Skipped())
    again = AnnotatedBoxes().detect(examples[::-1], Skipped())[::-1]
    assert all(np.array_equal(one.boxes, other.boxes) for one, other in zip(found, again, strict=True))
    firsts = [BOXES.tolist().index(regions.boxes[0].tolist()) for regions in found]
    assert set(firsts) == {0, 1, 2, 3, 4} and max(np.bincount(firsts)) < 20
    # The same boxes listed the other way round come in the same distribution: what was listed first says nothing.
    for regions in found:
        assert sorted(map(tuple, regions.boxes.tolist())) == sorted(map(tuple, BOXES.tolist()))
        names = dict(zip(map(tuple, BOXES.tolist()), LABELS, strict=True))
        assert [names[tuple(b)] for b in regions.boxes.tolist()] == [
            ("dog", "horse", "person", "tree")[label] for label in regions.labels
        ]
        assert (regions.scores == 1).all() and regions.size == (60, 60)


def test_an_image_without_annotation_has_no_region():
    skipped = Skipped()
    bare = Example("new.jpg", "new.jpg", size=(9, 9))
    assert AnnotatedBoxes().detect([bare], skipped) == [None]
    assert skipped.items[0][0] == "new.jpg" and "no annotated box" in skipped.items[0][1]


def test_features_are_the_names_embedding_and_the_boxs_place():
    detector = named("annotated", "")
    detector.expect([example("a.jpg")])
    (regions,) = detector.detect([example("a.jpg")], Skipped())
    width = detector.encoder.size
    assert regions.features.shape == (5, width + 8) and np.abs(regions.features[:, :width]).max() > 0
    people = np.flatnonzero(regions.labels == detector.categories.index("person"))
    assert np.array_equal(*regions.features[people, :width])
    assert np.array_equal(regions.features[:, width:], box_place(regions.boxes, (60, 60)))
    # Given boxes (PredCls) are described alike, whatever their order.
    (described,) = detector.box_regions([example("a.jpg")], [BOXES], [LABELS], detector.categories)
    order = [BOXES.tolist().index(box) for box in regions.boxes.tolist()]
    np.testing.assert_allclose(described.features[order], regions.features, atol=1e-6)


def test_place_by_hand():
    place = box_place(np.array([[10, 20, 30, 60]], np.float32), (100, 200))
    np.testing.assert_allclose(place, [[0.1, 0.1, 0.3, 0.3, 0.2, 0.2, 0.04, np.log(0.5)]], atol=1e-6)


def write_json(folder):
    path = folder / "found.json"
    objects = [
        {"category": "horse", "box": [5, 5, 25, 15], "score": 0.4},
        {"category": "person", "box": [0, 0, 10, 20], "score": 0.9},
    ]
    path.write_text(json.dumps({"a.jpg": {"objects": objects}, "b.jpg": {"objects": []}}))
    return path


def write_npz(folder):
    path = folder / "found.npz"
    np.savez(
        path,
        file_names=np.array(["a.jpg", "b.jpg"]),
        categories=np.array(["horse", "person"]),
        boxes=np.array([[[5, 5, 25, 15], [0, 0, 10, 20]], np.zeros((2, 4))], np.float32),
        labels=np.array([[0, 1], [-1, -1]]),
        scores=np.array([[0.4, 0.9], [0, 0]], np.float32),
    )
    return path


@pytest.mark.parametrize("write", [write_json, write_npz])
def test_detections_from_a_file(tmp_path, write):
    detector = named("detections", str(write(tmp_path)))
    skipped = Skipped()
    found, empty, absent = detector.detect([example("a.jpg"), example("b.jpg"), example("c.jpg")], skipped)
    assert detector.categories == ("horse", "person")
    assert found.labels.tolist() == [1, 0] and np.allclose(found.scores, [0.9, 0.4])
    assert found.boxes.tolist() == [[0, 0, 10, 20], [5, 5, 25, 15]]
    assert found.features.shape == (2, detector.encoder.size + 8)
    assert empty is None and absent is None and len(skipped.items) == 2


def test_other_files_are_errors(tmp_path):
    path = tmp_path / "other.json"
    path.write_text('{"a.jpg": [1]}')
    with pytest.raises(InputError, match=r"other\.json: not \{image"):
        DetectionFile.load(path)
    np.savez(tmp_path / "other.npz", file_names=np.array(["a"]), categories=np.array(["x"]))
    with pytest.raises(InputError, match="holds no array 'boxes'"):
        DetectionFile.load(tmp_path / "other.npz")


def test_a_name_that_is_a_category_means_that_one_alone():
    categories = ("tree", "trees", "plant", "person")
    assert names_match(["trees", "plant", "man"], categories).tolist() == [
        [False, True, False, False],
        [False, False, True, False],
        [False, False, False, True],
    ]
