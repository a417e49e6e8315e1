"""COCO and JSON-lines sources: what they yield, what they leave out and record, what they refuse."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from groundgraph.data.sources import open_source
from groundgraph.data.sources.config import PhotoData
from groundgraph.data.sources.jsonl import read_jsonl
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
    assert [what for what, _ in skipped] == ["1", "1", "instances.json"]
    assert "1 of 3 images are not in it" in skipped[2][1]


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
        ('{"image": "a.png", "captions": null}', "line 2: `captions` must be a list"),
        ('{"image": null, "captions": []}', 'line 2: has no "image"'),
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


@pytest.mark.parametrize("form", [float, str, lambda i: f"{i:012d}", lambda i: f"{i}.0"])
def test_ids_are_one_however_they_are_written(folder, form):
    path = boxed(folder, {1: "a.png", 2: "b.png"}, lambda i: [1, 1, 4, 4])
    examples, skipped = coco(folder, [(1, "a.png"), (2, "b.png")], [(form(1), "A."), (form(2), "B.")], path)
    assert [e.captions for e in examples] == [("A.",), ("B.",)] and skipped == []
    assert all(e.truth.labels == ("dog",) for e in examples)


def test_ids_that_match_nothing_are_an_error(folder):
    with pytest.raises(ValueError, match=r"captions\.json: no caption is of a listed image.*'901'.*'1'"):
        coco(folder, [(1, "a.png")], [(901, "A.")])


@pytest.mark.parametrize("value", [float("nan"), 5, None, ["A."], {"a": 1}, True])
def test_a_caption_that_is_no_text_is_left_out(folder, value):
    rows, why = jsonl(folder, {"image": "a.png", "captions": [value, "A dog."], "triplets": [value]})
    assert rows[0].captions == ("A dog.",) and rows[0].triplets == () and len(why) == 2
    examples, skipped = coco(folder, [(1, "a.png")], [(1, value), (1, "A dog.")])
    assert [e.captions for e in examples] == [("A dog.",)]
    assert [what for what, _ in skipped] == ["captions.json: annotations[0]"] and "caption is" in skipped[0][1]


def test_values_nested_deep_or_long_are_shown_by_their_beginning(folder):
    for value in ("[" * 900 + "]" * 900, json.dumps([["x" * 10_000] * 100])):
        examples, skipped = jsonl(folder, f'{{"image": "a.png", "captions": [{value}, "A."], "triplets": [{value}]}}')
        assert [e.captions for e in examples] == [("A.",)]
        assert len(skipped) == 2 and all(len(why) < 600 for _, why in skipped)


def test_one_picture_under_two_ids_is_one_image(folder):
    examples, skipped = coco(folder, [(1, "a.png"), (2, "./a.PNG")], [(1, "One."), (2, "Two.")])
    assert [e.captions for e in examples] == [("One.", "Two.")]
    assert [what for what, _ in skipped] == ["2"] and "is image 1" in skipped[0][1]
    lines, _ = jsonl(folder, {"image": "a.png", "captions": ["One."]}, {"image": "./a.png", "captions": ["Two."]})
    assert [(e.image_id, e.captions) for e in lines] == [("a.png", ("One.", "Two."))]


def boxed(folder, names, box, frame=(8, 6), **changes):
    """instances.json of one box an image; names: id -> file_name; changes: of its parts."""
    sides = {} if frame is None else {"width": frame[0], "height": frame[1]}
    content = {
        "images": [{"id": i, "file_name": name} | sides for i, name in names.items()],
        "categories": [{"id": 1, "name": "dog"}],
        "annotations": [{"image_id": i, "bbox": box(i), "category_id": 1} for i in names],
    }
    return write(folder / "instances.json", content | changes)


THREE = [(1, "a.png"), (2, "b.png"), (3, "c.png")]
SAID = [(1, "A."), (2, "B."), (3, "C.")]


def test_instances_of_other_images_are_an_error(folder):
    for images in ({1: "x.png", 2: "y.png"}, {7: "7.jpg"}):
        with pytest.raises(ValueError, match=r"instances\.json: none of its \d images is among the 3 with captions"):
            coco(folder, THREE, SAID, boxed(folder, images, lambda i: [1, 1, 4, 4]))


def test_instances_are_joined_by_name_first_and_by_ids_that_names_do_not_deny(folder):
    Image.new("RGB", (8, 6)).save(folder / "images" / "000000000009.png")
    path = boxed(folder, {5: "./a.PNG", 9: "COCO_val2014_000000000009.png", 2: "other.png"}, lambda i: [1, 1, i / 2, 4])
    listed = [(1, "a.png"), (9, "000000000009.png"), (2, "b.png")]
    examples, skipped = coco(folder, listed, [(1, "A."), (9, "N."), (2, "B.")], path)
    assert examples[0].truth.boxes[0, 2] == 3.5 and examples[1].truth.boxes[0, 2] == 5.5 and examples[2].truth is None
    assert len(skipped) == 1 and "1 of 3 images are not in it" in skipped[0][1] and "id 2 is 'b.png'" in skipped[0][1]


def test_an_instances_file_that_says_two_things_of_one_id(folder):
    both = [{"id": 1, "name": "dog"}, {"id": "1.0", "name": "cat"}]
    with pytest.raises(ValueError, match="category id 1 is 'dog' and 'cat'"):
        coco(folder, THREE, SAID, boxed(folder, {1: "a.png"}, lambda i: [1, 1, 4, 4], categories=both))
    twice = [{"id": 1, "file_name": "a.png"}, {"id": 1, "file_name": "b.png"}, {"id": 4, "file_name": "a.png"}]
    examples, skipped = coco(folder, THREE, SAID, boxed(folder, {1: "a.png"}, lambda i: [1, 1, 4, 4], images=twice))
    assert [e.truth is not None for e in examples] == [True, False, False]
    assert [what for what, _ in skipped] == ["1", "4", "instances.json"]


@pytest.mark.parametrize(
    ("box", "frame", "word"),
    [
        ([0.1, 0.2, 0.3, 0.4], (8, 6), "shares of 0..1"),
        ([0.1, 0.2, 0.3, 0.4], None, "shares of 0..1"),
        ([4, 3, 8, 6], (8, 6), "outside the image of 8 x 6"),  # xyxy
        ([1, 1, 4, 4], (8, 8), "in a frame of 8 x 8 pixels, the upright image has 8 x 6"),
        ([100, 100, 50, 50], None, "outside the image"),
    ],
)
def test_boxes_of_another_frame_or_unit_are_an_error_where_none_fits(folder, box, frame, word):
    path = boxed(folder, {1: "a.png", 2: "b.png"}, lambda i: box, frame)
    with pytest.raises(ValueError, match=word) as caught:
        coco(folder, THREE, SAID, path)
    assert str(path) in str(caught.value) and "2 of its 2 boxes" in str(caught.value)


def test_boxes_outside_are_left_out_and_recorded(folder):
    boxes = {1: [1, 1, 4, 4], 2: [5, 5, 40, 40], 3: [2, 2, 6.5, 4]}
    examples, skipped = coco(folder, THREE, SAID, boxed(folder, dict(THREE), boxes.get))
    assert [len(e.truth.boxes) for e in examples] == [1, 0, 1]
    assert examples[2].truth.boxes.tolist() == [[2, 2, 8, 6]]  # what reaches beyond by rounding is cut
    assert skipped[0][0] == "2" and "1 boxes of" in skipped[0][1]


@pytest.mark.parametrize("source", ["coco", "jsonl"])
def test_boxes_turn_with_a_photo_that_exif_turns(folder, source):
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (8, 6)).save(folder / "images" / "a.png", exif=exif.tobytes())
    path = boxed(folder, {1: "a.png"}, lambda i: [1, 2, 4, 3])
    if source == "coco":
        examples, _ = coco(folder, [(1, "a.png")], [(1, "A.")], path)
    else:
        examples, _ = jsonl(folder, {"image": "a.png", "captions": ["A."]}, instances=path)
    assert examples[0].truth.boxes.tolist() == [[1, 1, 4, 5]]  # of a picture of 6 x 8


def test_numbers_beyond_all_floats_are_no_boxes(folder):
    path = boxed(folder, {1: "a.png"}, lambda i: [1, 1, 4, 4])
    content = json.loads(path.read_text())
    content["annotations"] += [{"image_id": 1, "bbox": [10**400, 0, 4, 4], "category_id": 1}, {"image_id": 10**400}]
    content["annotations"] += [{"image_id": 1, "bbox": [1, 1], "category_id": 1}, None, "text"]
    examples, skipped = coco(folder, [(1, "a.png")], [(1, "A.")], write(path, content))
    assert len(examples[0].truth.boxes) == 1 and len(skipped) == 5


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


def test_json_lines_take_one_caption_too_and_name_the_keys_they_do_not_know(tmp_path):
    Image.new("RGB", (8, 8)).save(tmp_path / "a.png")
    rows = [
        {"image": "a.png", "caption": "a man", "label": 1},
        {"image": "a.png", "captions": ["a dog"], "label": 0, "Captions": ["x"]},
    ]
    lines, skipped = tmp_path / "c.jsonl", Skipped()
    lines.write_text("\n".join(map(json.dumps, rows)))
    assert read_jsonl(lines, tmp_path, skipped)[0].captions == ("a man", "a dog")
    (where, why), *rest = skipped.items
    assert where == str(lines) and "`label` in 2 lines, `Captions` in 1 lines; read are `image`" in why and not rest
    lines.write_text('{"image": "a.png", "caption": ["a man"]}')
    skipped = Skipped()
    assert read_jsonl(lines, tmp_path, skipped) == []
    assert "line 1: a caption must be text in quotes, not ['a man']" in skipped.items[0][1]
