"""COCO and JSON-lines sources: what they yield, what they leave out and record, what they refuse."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from groundgraph.data.sources import open_source
from groundgraph.data.sources.config import PhotoData
from groundgraph.data.types import Skipped

SHARED = Path(__file__).parents[2].parent / "shared"


def load_examples(source, images, captions, instances, skipped):
    data = PhotoData(source=source, images=str(images), captions=str(captions), instances=instances and str(instances))
    return open_source(data, images).examples("train", skipped, None)


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "images").mkdir()
    for name in ("a.png", "b.png", "c.png"):
        Image.new("RGB", (8, 6)).save(tmp_path / "images" / name)
    Image.new("RGB", (8, 6)).save(tmp_path / "outside.png")
    return tmp_path


def write(path, content):
    path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
    return path


def coco(folder, images, captions, instances=None):
    notes = [{"image_id": i, "caption": text} for i, text in captions]
    listing = {"images": [{"id": i, "file_name": name} for i, name in images], "annotations": notes}
    skipped = Skipped()
    examples = load_examples("coco", folder / "images", write(folder / "captions.json", listing), instances, skipped)
    return examples, skipped.items


def test_coco_captions(folder):
    examples, skipped = coco(
        folder, [(7, "b.png"), (3, "a.png")], [(3, " A man\nrides  a horse. "), (7, "One."), (3, "Two.")]
    )
    assert [(e.image_id, Path(e.path).name, e.captions) for e in examples] == [
        ("7", "b.png", ("One.",)),
        ("3", "a.png", ("A man rides a horse.", "Two.")),
    ]
    assert skipped == [] and examples[0].truth is None


def test_coco_records_what_it_leaves_out(folder):
    images = [(1, "a.png"), (2, "gone.png"), (3, "../outside.png"), (4, "b.png"), (1, "c.png"), (None, "c.png")]
    captions = [(1, "One."), (1, "  "), (2, "Two."), (3, "Three."), (9, "Nine."), (1, None)]
    examples, skipped = coco(folder, images, captions)
    assert [e.captions for e in examples] == [("One.",)]
    said = {what: why for what, why in skipped}
    assert len(skipped) == 8
    for what, why in (("2", "no such image"), ("3", "out of the image folder"), ("4", "without a caption")):
        assert why in said[what]
    assert next(why for what, why in skipped if what == "1").startswith("an empty caption")
    assert any("listed twice" in why for _, why in skipped) and "does not list" in said["9"]
    assert "captions.json: annotations[5]" in said and "captions.json: images[5]" in said


def test_coco_instances_become_ground_truth(folder):
    boxes = [
        {"image_id": 1, "bbox": [1, 2, 3, 4], "category_id": 18, "iscrowd": 0},
        {"image_id": 1, "bbox": [0, 0, 8, 6], "category_id": 18, "iscrowd": 1},
        {"image_id": 1, "bbox": [0, 0, 0, 6], "category_id": 18},
        {"image_id": 1, "bbox": [0, 0, 2, 2], "category_id": 99},
        {"image_id": 1, "bbox": [0, 0, 2, 2], "category_id": 1},
    ]
    categories = [{"id": 1, "name": "person"}, {"id": 18, "name": "dog"}]
    listed = [{"id": 1, "file_name": "a.png"}, {"id": 2, "file_name": "b.png"}]
    content = {"images": listed, "annotations": boxes, "categories": categories}
    path = write(folder / "instances.json", content)
    examples, skipped = coco(
        folder, [(1, "a.png"), (2, "b.png"), (3, "c.png")], [(1, "A."), (2, "B."), (3, "C.")], path
    )
    first, second, third = (e.truth for e in examples)
    assert first.boxes.tolist() == [[1, 2, 4, 6], [0, 0, 2, 2]] and first.boxes.dtype == np.float32
    assert first.labels == ("dog", "person") and first.relations == ()
    assert second.boxes.shape == (0, 4) and third is None
    assert [what for what, _ in skipped] == ["1", "1"]


@pytest.mark.parametrize(
    ("content", "word"),
    [
        ('{"images": [],\n "annotations": [', "line 2: not valid JSON"),
        ('{"images": []}', "has no list `annotations`"),
        ("[]", "has no list `images`, `annotations`"),
    ],
)
def test_broken_coco_files_are_named(folder, content, word):
    path = write(folder / "captions.json", content)
    with pytest.raises(ValueError, match=word) as caught:
        load_examples("coco", folder / "images", path, None, Skipped())
    assert str(path) in str(caught.value)


def jsonl(folder, *rows, instances=None):
    skipped = Skipped()
    text = "\n".join(row if isinstance(row, str) else json.dumps(row) for row in rows)
    path = write(folder / "lines.jsonl", text)
    return load_examples("jsonl", folder / "images", path, instances, skipped), skipped.items


def test_jsonl_captions_and_triplets(folder):
    examples, skipped = jsonl(
        folder,
        {"image": "b.png", "captions": ["One. ", "Line\u2028two."]},
        "",
        {"image": "a.png", "triplets": [["man", "riding", "horse"], ["dog", " next  to ", "man"]]},
        {"image": "b.png", "captions": ["Three."]},
    )
    assert [(e.image_id, e.captions, e.triplets) for e in examples] == [
        ("b.png", ("One.", "Line two.", "Three."), ()),
        ("a.png", (), (("man", "riding", "horse"), ("dog", "next to", "man"))),
    ]
    assert skipped == []


def test_jsonl_records_what_it_leaves_out(folder):
    examples, skipped = jsonl(
        folder,
        {"image": "a.png", "captions": ["", "One."], "triplets": [["man", "riding"], ["a", "b", ""], "abc"]},
        {"image": "b.png"},
        {"image": "gone.png", "captions": ["Two."]},
        {"image": "../outside.png", "captions": ["Three."]},
    )
    assert [e.image_id for e in examples] == ["a.png"]
    assert [what for what, _ in skipped] == ["a.png"] * 4 + ["b.png", "gone.png", "../outside.png"]
    assert "line 1: an empty caption" in skipped[0][1] and "[subject, predicate, object]" in skipped[1][1]


def test_jsonl_with_ground_truth(folder):
    content = {
        "images": [{"id": 5, "file_name": "a.png"}],
        "annotations": [{"image_id": 5, "bbox": [0, 0, 2, 2], "category_id": 1}],
        "categories": [{"id": 1, "name": "dog"}],
    }
    path = write(folder / "instances.json", content)
    examples, _ = jsonl(folder, {"image": "a.png", "captions": ["A dog."]}, instances=path)
    assert examples[0].truth.labels == ("dog",)


@pytest.mark.parametrize(
    ("row", "word"),
    [
        ("{", "line 2: not valid JSON"),
        ("[1]", 'line 2: has no "image"'),
        ('{"image": 3}', 'line 2: has no "image"'),
        ('{"image": "a.png", "captions": "One."}', "line 2: `captions` must be a list"),
        ('{"image": "a.png", "captions": [1]}', "line 2: a caption must be text"),
    ],
)
def test_broken_jsonl_files_are_named(folder, row, word):
    with pytest.raises(ValueError, match=word) as caught:
        jsonl(folder, {"image": "a.png", "captions": ["One."]}, row)
    assert "lines.jsonl" in str(caught.value)


def test_missing_folder_or_file(folder):
    with pytest.raises(ValueError, match="no such image folder"):
        load_examples("coco", folder / "nowhere", folder / "a", None, Skipped())
    for source in ("coco", "jsonl"):
        with pytest.raises(ValueError, match="no such file"):
            load_examples(source, folder / "images", folder / "a", None, Skipped())


@pytest.mark.skipif(not (SHARED / "data" / "coco_mini").is_dir(), reason="shared data are not here")
def test_real_coco():
    data = SHARED / "data" / "coco_mini"
    notes = data / "annotations"
    skipped = Skipped()
    examples = load_examples(
        "coco", data / "images", notes / "captions_train2017.json", notes / "instances_train2017.json", skipped
    )
    assert len(examples) == 80 == len({e.image_id for e in examples}) and skipped.items == []
    assert sum(len(e.captions) for e in examples) == 400
    assert sum(len(e.truth.boxes) for e in examples) == 731  # the README's count without crowds
