"""Boxes with relations from miniature files in the public formats: what they yield, leave out and refuse."""

import json

import numpy as np
import pytest
from PIL import Image
from source_examples import opened, split

from groundgraph.data.types import AnnotatedImage, Skipped
from groundgraph.errors import InputError
from groundgraph.evaluation.files import evaluate_files
from groundgraph.formats.coco_relations import read_coco_relations, write_coco_relations


def write(path, content):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
    return path


def picture(path, size=(100, 80)):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size).save(path)


# As in SGG-Benchmark's docs/ANNOTATIONS.md: ids from 0, boxes numbered over all images.
BENCHMARK = {
    "images": [
        {"id": 0, "file_name": "a.jpg", "width": 100, "height": 80},
        {"id": 1, "file_name": "b.jpg", "width": 100, "height": 80},
    ],
    "categories": [
        {"id": 0, "name": "person", "supercategory": "none"},
        {"id": 1, "name": "horse", "supercategory": "none"},
        {"id": 2, "name": "hat", "supercategory": "none"},
    ],
    "rel_categories": [{"id": 0, "name": "above"}, {"id": 1, "name": "riding"}],
    "annotations": [
        {"id": 0, "image_id": 0, "category_id": 0, "bbox": [20, 10, 20, 30], "area": 600, "iscrowd": 0},
        {"id": 1, "image_id": 0, "category_id": 1, "bbox": [10, 30, 60, 40], "area": 2400, "iscrowd": 0},
        {"id": 2, "image_id": 0, "category_id": 0, "bbox": [70, 10, 20, 30], "area": 600, "iscrowd": 0},
        {"id": 3, "image_id": 1, "category_id": 1, "bbox": [0, 0, 50, 50], "area": 2500, "iscrowd": 0},
    ],
    "rel_annotations": [
        {"id": 0, "subject_id": 0, "predicate_id": 1, "object_id": 1, "image_id": 0},
        {"id": 1, "subject_id": 2, "predicate_id": 0, "object_id": 1, "image_id": 0},
        {"id": 2, "subject_id": 2, "predicate_id": 0, "object_id": 0, "image_id": 0},
    ],
}


def test_sgg_benchmarks_coco(tmp_path):
    write(tmp_path / "train.json", BENCHMARK)
    picture(tmp_path / "images" / "a.jpg")
    picture(tmp_path / "images" / "b.jpg")
    (example,), notes = split("coco-relations", tmp_path)
    assert example.path == str(tmp_path / "images" / "a.jpg") and example.size is None
    assert example.truth.labels == ("person", "horse", "person")
    assert example.truth.boxes.tolist() == [[20, 10, 40, 40], [10, 30, 70, 70], [70, 10, 90, 40]]
    assert example.truth.relations == ((0, "riding", 1), (2, "above", 1), (2, "above", 0))
    assert example.triplets == (
        ("person", "riding", "horse"),
        ("person", "above", "horse"),
        ("person", "above", "person"),
    )
    assert notes == ["has no relation"]
    source = opened("coco-relations", tmp_path)
    assert source.vocabularies() == (("person", "horse", "hat"), ("above", "riding"))
    assert [need.present for need in source.needs()] == [True, True]
    assert opened("coco-relations", tmp_path / "gone").needs()[0].present is False


def test_without_pictures_the_file_says_their_sizes(tmp_path):
    write(tmp_path / "train.json", BENCHMARK)
    (example,), _ = split("coco-relations", tmp_path, images=None)
    assert example.size == (100, 80) and opened("coco-relations", tmp_path, images=None).pictures() == []


def test_a_scaled_picture_scales_its_boxes(tmp_path):
    write(tmp_path / "train.json", BENCHMARK)
    picture(tmp_path / "images" / "a.jpg", (200, 160))
    (example,), _ = split("coco-relations", tmp_path)
    assert example.truth.boxes[0].tolist() == [40, 20, 80, 80]


def test_relations_that_cannot_be_used_are_counted(tmp_path):
    odd = [
        {"subject_id": 0, "predicate_id": 1, "object_id": 3},
        {"subject_id": 0, "predicate_id": 9, "object_id": 1},
        {"subject_id": 0, "predicate_id": 1, "object_id": 0},
        {"subject_id": 0, "predicate_id": 1},
    ]
    path = write(tmp_path / "train.json", BENCHMARK | {"rel_annotations": BENCHMARK["rel_annotations"] + odd})
    skipped = Skipped()
    assert len(read_coco_relations(path, skipped).images[0].relations) == 3
    assert {why for _, why in skipped.items} == {
        "1 relations left out: between two images",
        "1 relations left out: of a box or predicate that is not in it",
        "1 relations left out: of a box with itself",
        "has no subject_id and object_id and predicate_id that can be used: object_id is missing",
    }


def test_a_file_without_relations_is_told_what_it_lacks(tmp_path):
    write(tmp_path / "train.json", {k: v for k, v in BENCHMARK.items() if not k.startswith("rel_")})
    with pytest.raises(InputError, match="has no lists `rel_categories` and `rel_annotations`"):
        split("coco-relations", tmp_path)


def test_splits_are_files_or_drawn(tmp_path):
    images = [dict(BENCHMARK["images"][0], id=i, file_name=f"{i}.jpg") for i in range(20)]
    boxes = [
        dict(box, id=10 * i + k, image_id=i) for i in range(20) for k, box in enumerate(BENCHMARK["annotations"][:2])
    ]
    relations = [{"subject_id": 10 * i, "object_id": 10 * i + 1, "predicate_id": 1} for i in range(20)]
    many = BENCHMARK | {"images": images, "annotations": boxes, "rel_annotations": relations}
    write(tmp_path / "train.json", many)
    write(tmp_path / "test.json", BENCHMARK)
    keys = {"images": None, "held_out": 5, "validation": 3}
    parts = {name: split("coco-relations", tmp_path, name, **keys)[0] for name in ("train", "validation", "test")}
    assert {name: len(own) for name, own in parts.items()} == {"train": 12, "validation": 3, "test": 5}
    assert len({e.image_id for own in parts.values() for e in own}) == 20
    files = {"images": None, "test_annotations": "test.json"}
    assert opened("coco-relations", tmp_path, **files).data.splits == ("train", "test")
    assert len(split("coco-relations", tmp_path, **files)[0]) == 20
    assert [e.image_id for e in split("coco-relations", tmp_path, "test", **files)[0]] == ["0"]
    with pytest.raises(InputError, match="20 images have annotations, and 20 are to be held out"):
        split("coco-relations", tmp_path, images=None, held_out=20)


def test_written_relations_are_read_again_and_measured(tmp_path):
    annotated = AnnotatedImage(
        "7",
        str(tmp_path / "images" / "a.jpg"),
        (100, 80),
        np.array([[20, 10, 40, 40], [10, 30, 70, 70]], np.float32),
        np.array([1, 2]),
        np.array([0.5, 0.25], np.float32),
        np.array([[0, 1, 2]]),
        np.array([0.75], np.float32),
    )
    path = tmp_path / "train.json"
    counts = write_coco_relations(path, [annotated], (("person", "horse"), ("above", "riding")))
    assert counts["relations"] == 1
    content = json.loads(path.read_text())
    assert content["rel_categories"] == [{"id": 0, "name": "above"}, {"id": 1, "name": "riding"}]
    assert content["rel_annotations"][0] | {"score": 0} == {
        "id": 1, "image_id": 7, "subject_id": 1, "object_id": 2, "predicate_id": 1, "score": 0,
    }  # fmt: skip
    (image,) = read_coco_relations(path, Skipped()).images
    assert image.labels == ("person", "horse") and image.relations == ((0, "riding", 1),)
    assert image.scores == pytest.approx((0.5, 0.25)) and image.relation_scores == pytest.approx((0.75,))
    assert np.allclose(image.boxes, annotated.boxes)
    assert evaluate_files(path, path)["R"]["20"] == 1.0


def test_psg(tmp_path):
    def entry(key, *relations):
        boxes = [{"bbox": [20, 10, 40, 40], "category_id": 0}, {"bbox": [0, 30, 100, 80], "category_id": 2}]
        boxes = [dict(b, bbox_mode=0) for b in boxes]
        segments = [{"id": k, "category_id": b["category_id"], "iscrowd": 0, "isthing": 1} for k, b in enumerate(boxes)]
        file = {"file_name": f"val2017/{key:012d}.jpg", "image_id": str(key), "height": 80, "width": 100}
        return file | {"annotations": boxes, "segments_info": segments, "relations": list(relations)}

    content = {
        "data": [entry(1, [0, 1, 1]), entry(2, [1, 0, 0], [0, 0, 0]), entry(3), entry(4, [0, 9, 1])],
        "thing_classes": ["person", "horse"],
        "stuff_classes": ["grass"],
        "predicate_classes": ["over", "standing on"],
        "test_image_ids": ["2"],
    }
    write(tmp_path / "psg.json", content)
    (example,), _ = split("psg", tmp_path, images=None)
    assert example.triplets == (("person", "standing on", "grass"),) and example.path == "val2017/000000000001.jpg"
    (example,), _ = split("psg", tmp_path, "test", images=None)
    assert example.truth.relations == ((1, "over", 0),) and example.truth.labels == ("person", "grass")
    assert opened("psg", tmp_path).vocabularies() == (("person", "horse", "grass"), ("over", "standing on"))
    write(tmp_path / "psg.json", {"data": []})
    with pytest.raises(InputError, match="has no list `thing_classes`"):
        split("psg", tmp_path)


def test_gqa_200(tmp_path):
    names = {"ind_to_classes": ["__background__", "man", "hat"], "ind_to_predicates": ["__background__", "wearing"]}
    write(tmp_path / "GQA_200_ID_Info.json", names)
    one = {
        "filenames_all": ["2386621.jpg", "7.jpg"],
        "img_info_all": [{"width": 100, "height": 80}, {"width": 100, "height": 80}],
        "gt_boxes_all": [[[0, 10, 50, 80], [10, 0, 30, 20]], [[0, 0, 9, 9]]],
        "gt_classes_all": [[1, 2], [1]],
        "relationships_all": [[[0, 1, 1]], []],
    }
    write(tmp_path / "GQA_200_Train.json", one)
    (example,), _ = split("gqa", tmp_path, images=None)
    assert example.image_id == "2386621" and example.triplets == (("man", "wearing", "hat"),)
    assert example.truth.boxes.tolist() == [[0, 10, 50, 80], [10, 0, 30, 20]]
    assert opened("gqa", tmp_path).vocabularies() == (("man", "hat"), ("wearing",))


def test_gqas_scene_graphs(tmp_path):
    man = {"name": "man", "x": 0, "y": 10, "w": 50, "h": 70, "attributes": ["old"]}
    hat = {"name": "hat", "x": 10, "y": 0, "w": 20, "h": 20, "attributes": [], "relations": []}
    man["relations"] = [{"object": "81", "name": "wearing"}, {"object": "99", "name": "near"}]
    graph = {"width": 100, "height": 80, "location": "street", "objects": {"80": man, "81": hat}}
    write(tmp_path / "train_sceneGraphs.json", {"2407890": graph, "1": {}})
    keys = {"images": None, "train_annotations": "train_sceneGraphs.json", "test_annotations": None}
    (example,), notes = split("gqa", tmp_path, **keys)
    assert example.path == "2407890.jpg" and example.triplets == (("man", "wearing", "hat"),)
    assert example.truth.boxes.tolist() == [[0, 10, 50, 80], [10, 0, 30, 20]] and len(notes) == 1


def test_open_images_relationships(tmp_path):
    sides = "XMin1,XMax1,YMin1,YMax1,XMin2,XMax2,YMin2,YMax2"
    lines = [
        f"ImageID,LabelName1,LabelName2,{sides},RelationshipLabel",
        "0009,/m/04yx4,/m/0342h,0.1,0.5,0.2,0.8,0.3,0.6,0.4,0.7,plays",
        "0009,/m/04yx4,/m/0342h,0.1,0.5,0.2,0.8,0.3,0.6,0.4,0.7,interacts_with",
        "0009,/m/0342h,/m/083vt,0.3,0.6,0.4,0.7,0.3,0.6,0.4,0.7,is",
        "0010,/m/none,/m/0342h,0.1,0.5,0.2,0.8,0.3,0.6,0.4,0.7,plays",
    ]
    write(tmp_path / "oidv6-train-annotations-vrd.csv", "\n".join(lines))
    write(tmp_path / "oidv6-class-descriptions.csv", "LabelName,DisplayName\n/m/04yx4,Man\n/m/0342h,Guitar\n")
    picture(tmp_path / "images" / "0009.jpg")
    (example,), notes = split("open-images", tmp_path)
    assert np.allclose(example.truth.boxes, [[10, 16, 50, 64], [30, 32, 60, 56]], atol=1e-4)
    assert example.triplets == (("man", "plays", "guitar"), ("man", "interacts with", "guitar"))
    assert len(notes) == 2 and opened("open-images", tmp_path).vocabularies() is None


def test_flickr30k_entities(tmp_path):
    marked = "[/EN#1/people A man] on [/EN#2/other a bike] in [/EN#3/scene the park] .\n[/EN#1/people He] rides .\n"
    write(tmp_path / "train.txt", "36979\n1\n")
    write(tmp_path / "Sentences" / "36979.txt", marked)
    boxes = "".join(
        f"<object><name>{k}</name><bndbox><xmin>{10 * k}</xmin><ymin>5</ymin><xmax>{10 * k + 20}</xmax>"
        "<ymax>60</ymax></bndbox></object>"
        for k in (1, 2)
    )
    size = "<size><width>100</width><height>80</height><depth>3</depth></size>"
    scene = "<object><name>3</name><scene>1</scene><nobndbox>0</nobndbox></object>"
    write(tmp_path / "Annotations" / "36979.xml", f"<annotation>{size}{boxes}{scene}</annotation>")
    picture(tmp_path / "flickr30k-images" / "36979.jpg")
    (example,), notes = split("flickr30k-entities", tmp_path)
    assert example.captions == ("A man on a bike in the park .", "He rides .") and example.triplets == ()
    assert example.truth.labels == ("people", "other") and example.truth.boxes[1].tolist() == [19, 4, 39, 59]
    meant = [(example.captions[m.caption][slice(*m.span)], m.objects) for m in example.truth.mentions]
    assert meant == [("A man", (0,)), ("a bike", (1,)), ("He", (0,))]
    assert "no such file" in notes[0]


def test_hico_det(tmp_path):
    write(tmp_path / "hico_list_vb.txt", " verb_id  verb_name\n------\n 1  no_interaction\n 2  sit_on\n")
    boxes = [{"bbox": [20, 10, 40, 40], "category_id": 1}, {"bbox": [0, 30, 90, 80], "category_id": 90}]
    relations = [{"subject_id": 0, "object_id": 1, "category_id": verb, "hoi_category_id": 9} for verb in (2, 1)]
    entry = {"file_name": "HICO_train2015_00000001.jpg", "img_id": 1, "annotations": boxes}
    write(tmp_path / "trainval_hico.json", [entry | {"hoi_annotation": relations}, entry | {"hoi_annotation": []}, {}])
    picture(tmp_path / "images" / "HICO_train2015_00000001.jpg")
    (example,), notes = split("hico-det", tmp_path)
    assert example.triplets == (("person", "sit on", "toothbrush"),) and len(notes) == 1
    assert opened("hico-det", tmp_path).vocabularies()[1] == ("sit on",)
