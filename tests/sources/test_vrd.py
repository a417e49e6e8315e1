"""VRD from miniature annotations: splits by file and held out, the set of triplets, boxes, odd and broken files."""

import json
from contextlib import contextmanager

import numpy as np
import pytest
from PIL import Image

from groundgraph.data.sources import open_source
from groundgraph.data.sources.config import VrdData
from groundgraph.data.types import Skipped
from groundgraph.errors import InputError
from groundgraph.formats.vrd import read_vrd, read_vrd_names

PERSON, SHIRT, TREE, TREES, HORSE = 0, 6, 11, 14, 43  # VRD's own numbers
ON, WEAR, RIDE = 0, 1, 35
MAN, BOY = (PERSON, [10, 60, 20, 40]), (PERSON, [5, 70, 50, 90])  # [ymin, ymax, xmin, xmax]


@contextmanager
def bar(what, total):
    yield lambda count: None


def related(*relations):
    return [
        {"predicate": p, **{end: {"category": c, "bbox": box} for end, (c, box) in (("subject", s), ("object", o))}}
        for s, p, o in relations
    ]


SHIRTS = [(SHIRT, [20, 40, 22, 38]), (SHIRT, [20, 40, 55, 80])]
WEARS = (MAN, WEAR, SHIRTS[0])
FIRST = related(WEARS, (BOY, WEAR, SHIRTS[1]), WEARS, (MAN, RIDE, (HORSE, [30, 80, 5, 99])))


def write(folder, train=None, test=None, **others):
    annotations = {"annotations_train": train, "annotations_test": test} | others
    for name, content in annotations.items():
        if content is not None:
            (folder / f"{name}.json").write_text(json.dumps(content))
    return folder


def split(folder, name, **keys):
    skipped = Skipped()
    source = open_source(VrdData(source="vrd", folder=str(folder), **({"validation": 0} | keys)), folder)
    return source.examples(name, skipped, bar), skipped.items


def test_supervision_is_the_set_of_triplets_and_does_not_say_of_which_boxes(tmp_path):
    write(tmp_path, {"a.jpg": FIRST, "b.jpg": [], "c.jpg": related(((TREES, [0, 9, 0, 9]), ON, (TREE, [0, 9, 0, 9])))})
    (first, second), notes = split(tmp_path, "train")
    assert first.triplets == (("person", "wear", "shirt"), ("person", "ride", "horse"))
    assert first.captions == () and second.triplets == (("trees", "on", "tree"),)
    truth = first.truth
    assert truth.labels == ("person", "shirt", "person", "shirt", "horse")
    assert truth.boxes[0].tolist() == [20, 10, 40, 60]  # xyxy
    assert truth.relations == ((0, "wear", 1), (2, "wear", 3), (0, "wear", 1), (0, "ride", 4))
    meant = {(m.caption, m.entity): m.objects for m in truth.mentions}
    assert meant == {(0, 0): (0, 2), (0, 1): (1, 3), (1, 0): (0,), (1, 1): (4,)}
    assert first.size == (99, 80)  # as far as the boxes reach
    assert {why for _, why in notes} == {
        "1 images without a relation",
        "1 relations listed twice",
        "1 boxes of two categories, which are two objects",
    }


def test_train_and_test_are_two_files(tmp_path):
    write(tmp_path, {"a.jpg": FIRST}, {"b.jpg": FIRST})
    assert [e.image_id for e in split(tmp_path, "train")[0]] == ["a.jpg"]
    assert [e.image_id for e in split(tmp_path, "test")[0]] == ["b.jpg"]


def test_without_the_test_file_its_name_and_the_way_round_it_are_told(tmp_path):
    write(tmp_path, {"a.jpg": FIRST})
    with pytest.raises(InputError, match=r"annotations_test\.json: no such file.*data\.held_out"):
        split(tmp_path, "test")
    source = open_source(VrdData(source="vrd", folder=str(tmp_path)), tmp_path)
    assert [(need.what, need.present) for need in source.needs()] == [
        ("training annotations", True),
        ("test annotations", False),
    ]


def test_held_out_images_are_drawn_by_the_seed_and_no_others_are_trained_on(tmp_path):
    write(tmp_path, {f"{i}.jpg": FIRST for i in range(30)})
    keys = {"held_out": 10, "validation": 5}
    parts = {name: [e.image_id for e in split(tmp_path, name, **keys)[0]] for name in ("train", "validation", "test")}
    assert {name: len(ids) for name, ids in parts.items()} == {"train": 15, "validation": 5, "test": 10}
    assert len({i for ids in parts.values() for i in ids}) == 30
    assert parts["test"] == [e.image_id for e in split(tmp_path, "test", **keys)[0]]
    assert parts["test"] != [e.image_id for e in split(tmp_path, "test", **keys, seed=1)[0]]
    assert len(split(tmp_path, "test", **keys, test=3)[0]) == 3
    with pytest.raises(InputError, match="30 images have relations, and 30 are to be held out"):
        split(tmp_path, "train", held_out=30)


def test_boxes_beyond_a_picture_of_known_size_are_left_out(tmp_path):
    write(tmp_path, {"a.jpg": FIRST}, sizes={"a.jpg": [60, 75]})
    (example,), notes = split(tmp_path, "train", sizes="sizes.json")
    assert example.size == (60, 75) and example.truth.relations == ((0, "wear", 1), (0, "wear", 1))
    assert ("a.jpg", "3 boxes left out that reach beyond the image of 60 x 75 pixels, with 2 relations") in notes


def test_photos_where_there_are_some_say_their_sizes(tmp_path):
    write(tmp_path, {"a.jpg": FIRST, "b.jpg": FIRST})
    Image.new("RGB", (100, 82)).save(tmp_path / "a.jpg")
    (example,), notes = split(tmp_path, "train", images=".")
    assert example.path == str(tmp_path / "a.jpg") and example.size is None
    assert any(name == "b.jpg" and "no such image" in why for name, why in notes)


def test_names_are_the_folders_own_where_it_has_some(tmp_path):
    assert [len(names) for names in read_vrd_names(tmp_path)] == [100, 70]
    write(tmp_path, objects=["cat", "dog"], predicates=["chase"])
    assert read_vrd_names(tmp_path) == (("cat", "dog"), ("chase",))


@pytest.mark.parametrize(
    ("relation", "why"),
    [
        ({"predicate": 70}, "predicate '70' is no number of 0..69"),
        ({"predicate": True}, "predicate 'True' is no number of 0..69"),
        ({"subject": {"category": 100, "bbox": [0, 9, 0, 9]}}, "category '100' is no number of 0..99"),
        ({"subject": {"category": 1, "bbox": [9, 9, 0, 9]}}, "no area"),
        ({"subject": {"category": 1, "bbox": [0, 9, -3, 9]}}, "outside"),
        ({"object": {"category": 1, "bbox": [0, None, 0, 9]}}, "not a number"),
        ({"object": {"category": 1}}, 'has no "bbox"'),
    ],
)
def test_a_relation_that_is_none_is_left_out_and_told(tmp_path, relation, why):
    path = write(tmp_path, {"a.jpg": [*FIRST, FIRST[0] | relation]}) / "annotations_train.json"
    skipped = Skipped()
    (image,) = read_vrd(path, read_vrd_names(tmp_path), skipped)
    assert len(image.relations) == 4
    assert any("1 relations left out" in told and why in told for _, told in skipped.items)


@pytest.mark.parametrize("content", [[], {}, {"a.jpg": {}}, {"a.jpg": [1]}, {"a.jpg": []}, {"images": [{"id": 1}]}])
def test_another_file_is_an_error_that_shows_the_form(tmp_path, content):
    path = write(tmp_path, content) / "annotations_train.json"
    with pytest.raises(InputError, match=r"not VRD's annotations.*ymin, ymax, xmin, xmax"):
        read_vrd(path, read_vrd_names(tmp_path), Skipped())


def test_the_published_training_annotations(request):
    folder = request.config.rootpath.parent.parent / "shared/data/vrd"
    if not folder.is_dir():
        pytest.skip("VRD is not here")
    train, notes = split(folder, "train", held_out=1000)
    assert len(train) == 2780 and ("annotations_train.json", "494 relations listed twice") in notes
    assert all(np.isfinite(e.truth.boxes).all() and e.triplets for e in train)
