"""V-COCO and RefCOCO from miniature files in the public formats: what they yield, leave out and refuse."""

import json
import pickle

import numpy as np
import pytest
from PIL import Image
from source_examples import opened, split

from groundgraph.errors import InputError
from groundgraph.evaluation.grounding import entity_truth
from groundgraph.language import load_parser


def write(path, content):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content), encoding="utf-8")


def picture(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (100, 80)).save(path)


def image(key, part="train2014"):
    url = f"http://images.cocodataset.org/{part}/COCO_{part}_{key:012d}.jpg"
    name = f"COCO_{part}_{key:012d}.jpg"
    return {"license": 3, "file_name": name, "coco_url": url, "height": 80, "width": 100, "id": key}


def note(key, image_key, category, bbox, crowd=0):
    own = {"segmentation": [[1.0, 1.0, 9.0, 1.0, 9.0, 9.0]], "area": 9.5, "iscrowd": crowd, "image_id": image_key}
    return own | {"bbox": bbox, "category_id": category, "id": key}


CATEGORIES = [
    {"supercategory": "person", "id": 1, "name": "person"},
    {"supercategory": "sports", "id": 37, "name": "sports ball"},
    {"supercategory": "sports", "id": 43, "name": "tennis racket"},
]
INSTANCES = {
    "info": {"year": 2014},
    "images": [image(9), image(25)],
    "licenses": [],
    "annotations": [
        note(200, 9, 1, [20.5, 10, 20, 30]),
        note(201, 9, 37, [60, 10, 5, 5]),
        note(202, 9, 43, [40, 10, 10, 10]),
        note(203, 9, 1, [70, 20, 20, 40]),
        note(900, 25, 1, [1, 1, 20, 40]),
    ],
    "categories": CATEGORIES,
}


def verb(name, roles, rows):
    """Rows of (image, agent, label, objects by role), with the roles one after the other, as V-COCO stores them."""
    objects = [row[3][role] for role in range(len(roles) - 1) for row in rows]
    return {
        "image_id": [row[0] for row in rows],
        "ann_id": [row[1] for row in rows],
        "role_object_id": [*(row[1] for row in rows), *objects],
        "label": [row[2] for row in rows],
        "action_name": name,
        "role_name": roles,
        "include": [[] for _ in roles],
    }


VERBS = [
    verb("hit", ["agent", "instr", "obj"], [(9, 200, 1, (202, 201)), (9, 203, 1, (0, 201)), (25, 900, 0, (0, 0))]),
    verb("smile", ["agent"], [(9, 200, 1, ()), (25, 900, 1, ())]),
    verb("look", ["agent", "obj"], [(9, 200, 1, (201,)), (9, 203, 0, (202,)), (25, 900, 1, (777,))]),
    verb("talk_on_phone", ["agent", "instr"], [(25, 900, 0, (0,))]),
]


def vcoco(folder):
    write(folder / "annotations" / "instances_train2014.json", INSTANCES)
    write(folder / "vcoco_train.json", VERBS)
    picture(folder / "coco" / "train2014" / "COCO_train2014_000000000009.jpg")


def test_vcoco(tmp_path):
    vcoco(tmp_path)
    (example,), notes = split("vcoco", tmp_path)
    assert example.path == str(tmp_path / "coco" / "train2014" / "COCO_train2014_000000000009.jpg")
    assert example.truth.labels == ("person", "sports ball", "tennis racket", "person")
    assert example.truth.boxes[0].tolist() == [20.5, 10, 40.5, 40]
    assert set(example.truth.relations) == {(0, "hit with", 2), (0, "hit", 1), (3, "hit", 1), (0, "look", 1)}
    assert ("person", "hit with", "tennis racket") in example.triplets
    assert notes == ["1 relations left out: of a box or predicate that is not in it"]
    source = opened("vcoco", tmp_path)
    assert source.vocabularies() == (
        ("person", "sports ball", "tennis racket"),
        ("hit with", "hit", "look", "talk on phone"),
    )
    assert source.data.splits == ("train", "validation", "test")
    assert [need.present for need in source.needs()] == [True, False, False, True, False, True]


def test_vcocos_test_images_are_of_cocos_other_part(tmp_path):
    vcoco(tmp_path)
    rows = [(42, 7, 1, (8, 0)), (9, 200, 1, (202, 201))]
    write(tmp_path / "vcoco_test.json", [verb("hit", ["agent", "instr", "obj"], rows)])
    boxes = [note(7, 42, 1, [20, 10, 20, 30]), note(8, 42, 43, [1, 1, 9, 9])]
    other = INSTANCES | {"images": [image(42, "val2014")], "annotations": boxes}
    write(tmp_path / "annotations" / "instances_val2014.json", other)
    picture(tmp_path / "coco" / "val2014" / "COCO_val2014_000000000042.jpg")
    assert [e.triplets[0] for e in split("vcoco", tmp_path, "test")[0]] == [("person", "hit with", "tennis racket")] * 2
    # of 2017, whose names say no part, the address does
    moved = image(42) | {"file_name": "000000000042.jpg", "coco_url": "http://x/val2017/000000000042.jpg"}
    write(tmp_path / "annotations" / "instances_2017.json", other | {"images": [moved]})
    keys = {"images": None, "instances": "annotations/instances_2017.json"}
    (example,), notes = split("vcoco", tmp_path, "test", **keys)
    assert example.path == "val2017/000000000042.jpg"
    assert "1 images left out that instances_2017.json does not list" in notes


def test_what_is_no_vcoco_is_named(tmp_path):
    vcoco(tmp_path)
    write(tmp_path / "vcoco_train.json", [{"action_name": "hit"}])
    with pytest.raises(InputError, match="no list of verbs with image_id"):
        split("vcoco", tmp_path)
    for wrong in ({"role_object_id": [1, 2]}, {"label": [10**30, 1, 1]}, {"role_name": [1, "obj", "instr"]}):
        write(tmp_path / "vcoco_train.json", [VERBS[0] | wrong])
        with pytest.raises(InputError, match="'hit' is not V-COCO's"):
            split("vcoco", tmp_path)


def reference(key, annotation, part, *sentences, image_key=9):
    own = [
        {"tokens": text.split(), "raw": text.upper(), "sent_id": 10 * key + i, "sent": text}
        for i, text in enumerate(sentences)
    ]
    name = f"COCO_train2014_{image_key:012d}_{key}.jpg"  # with a suffix: no picture is called so
    ids = {"sent_ids": [s["sent_id"] for s in own], "file_name": name, "ann_id": annotation, "ref_id": key}
    return ids | {"image_id": image_key, "split": part, "sentences": own, "category_id": 1}


REFERENCES = [
    reference(0, 200, "train", "the lady with the blue shirt", "on left, lady", "left"),
    reference(1, 203, "train", "man behind the racket"),
    reference(2, 900, "testA", "girl", image_key=25),
    reference(3, 203, "testB", "boy with a racket"),
    reference(4, 12345, "train", "nobody"),
    reference(5, 200, "val", "lady"),
]


def refcoco(folder, protocol=2):
    write(folder / "instances.json", INSTANCES)
    (folder / "refs(unc).p").write_bytes(pickle.dumps(REFERENCES, protocol))
    for key in (9, 25):
        picture(folder / "train2014" / f"COCO_train2014_{key:012d}.jpg")


@pytest.mark.parametrize("protocol", [0, 2, 4])
def test_refcocos_pickle(tmp_path, protocol):
    refcoco(tmp_path, protocol)
    (example,), notes = split("refcoco", tmp_path)
    assert example.captions == (
        "the lady with the blue shirt",
        "on left, lady",
        "left",
        "man behind the racket",
    )
    assert example.triplets == () and example.truth.labels == ("person", "sports ball", "tennis racket", "person")
    assert notes == ["1 references to a box that is not listed left out"]
    parsed = load_parser("rules").parse(example.captions)
    objects = entity_truth(example, parsed)
    named = [
        [(entity.name, own) for entity, own in zip(caption.entities, rows, strict=True)]
        for caption, rows in zip(parsed, objects, strict=True)
    ]
    # the first noun is what is meant; an expression without one is not measured
    assert named == [[("lady", (0,)), ("shirt", ())], [("lady", (0,))], [], [("man", (3,)), ("racket", ())]]


def test_refcocos_splits(tmp_path):
    refcoco(tmp_path)
    assert opened("refcoco", tmp_path).data.splits == ("train", "validation", "test")
    assert all(need.present for need in opened("refcoco", tmp_path).needs())
    assert [e.captions for e in split("refcoco", tmp_path, "validation")[0]] == [("lady",)]
    assert [e.captions for e in split("refcoco", tmp_path, "test")[0]] == [("girl",), ("boy with a racket",)]
    assert [e.captions for e in split("refcoco", tmp_path, "test", test_split="testB")[0]] == [("boy with a racket",)]
    (tmp_path / "refs(umd).json").write_text(json.dumps(REFERENCES[:1]))
    assert len(split("refcoco", tmp_path, train_annotations="refs(umd).json")[0]) == 1
    with pytest.raises(InputError, match="has no split 'testA'; there are train"):
        split("refcoco", tmp_path, "test", train_annotations="refs(umd).json", test_split="testA")


def test_a_pickle_that_would_run_something_is_not_loaded(tmp_path):
    refcoco(tmp_path)

    class Harm:
        def __reduce__(self):
            return print, ("harm",)

    (tmp_path / "refs(unc).p").write_bytes(pickle.dumps([Harm()]))
    with pytest.raises(InputError, match=r"asks for builtins\.print"):
        split("refcoco", tmp_path)
    (tmp_path / "refs(unc).p").write_bytes(pickle.dumps({"refs": []}))
    with pytest.raises(InputError, match="no list of references"):
        split("refcoco", tmp_path)


def test_refcoco_as_the_hub_has_it(tmp_path):
    pa, pq = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    refcoco(tmp_path)
    rows = []
    for ref in REFERENCES[:4]:
        own = next(n for n in INSTANCES["annotations"] if n["id"] == ref["ann_id"])
        x, y, width, height = own["bbox"]
        named = {"file_name": f"COCO_train2014_{ref['image_id']:012d}.jpg"}
        rows.append(
            ref
            | {
                "raw_anns": json.dumps(own),
                "raw_image_info": json.dumps(image(ref["image_id"]) | named),
                "raw_sentences": json.dumps(ref["sentences"]),
                "image_path": f"coco/train2014/{named['file_name']}",
                "bbox": [x, y, x + width, y + height],
                "captions": [s["sent"] for s in ref["sentences"]],
            }
        )
    (tmp_path / "data").mkdir()
    parts = {"train": rows[:2], "test": rows[2:3], "testB": rows[3:]}
    for name, own in parts.items():
        pq.write_table(pa.Table.from_pylist(own), tmp_path / "data" / f"{name}-00000-of-00001-aa.parquet")
    keys = {"train_annotations": "data", "instances": None}
    (example,), _ = split("refcoco", tmp_path, **keys)
    assert len(example.captions) == 4 and example.truth.labels == ("person", "person")
    assert np.allclose(example.truth.boxes, [[20.5, 10, 40.5, 40], [70, 20, 90, 60]])
    assert example.path.endswith("train2014/COCO_train2014_000000000009.jpg")
    assert [e.captions for e in split("refcoco", tmp_path, "test", **keys)[0]] == [("girl",), ("boy with a racket",)]
    odd = rows[0] | {"raw_image_info": "{}", "image_id": 77}
    pq.write_table(pa.Table.from_pylist([odd, *rows[:2]]), tmp_path / "data" / "train-00000-of-00001-aa.parquet")
    assert split("refcoco", tmp_path, **keys)[1] == ["1 references without a box or image left out"]
    with pytest.raises(InputError, match=r"references have no boxes; name instances\.json"):
        split("refcoco", tmp_path, instances=None)
