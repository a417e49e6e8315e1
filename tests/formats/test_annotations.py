"""COCO-style JSON and JSON lines: what is written is read back as it was."""

import json

import numpy as np
import pytest
from formats_world import VOCABULARIES, world

from groundgraph.formats import read_sides
from groundgraph.formats.coco import coco_truth, write_coco
from groundgraph.formats.pseudo_jsonl import pseudo_line, write_pseudo_lines
from groundgraph.grounding.annotations import annotations_of


def test_coco_round_trip(tmp_path):
    paths = ["/photos/train/a.jpg", "/photos/b.jpg"]
    images = [annotations_of(name, path, p, r) for (name, r, p), path in zip(world(), paths, strict=True)]
    path = tmp_path / "deep" / "labels.json"
    assert write_coco(path, images, VOCABULARIES) == {
        "images": 2, "boxes": 3, "relations": 3, "images without a box": 1,
    }  # fmt: skip
    content = json.loads(path.read_text())
    assert content["info"] == {"image_folder": "/photos"}
    assert content["images"][0] == {"id": 12, "file_name": "train/a.jpg", "width": 640, "height": 480}
    box = content["annotations"][0]
    assert box["bbox"] == [10.25, 20, 89.75, 60.5] and box["area"] == 89.75 * 60.5 and box["score"] == 0.5
    read = coco_truth(content, path)
    assert read.vocabularies == VOCABULARIES and read.images == ["12", "7"]
    for truth, image in zip(read.truths, images, strict=True):
        assert np.array_equal(truth.boxes, image.boxes)
        assert [VOCABULARIES[0].index(name) + 1 for name in truth.labels] == image.labels.tolist()
        relations = [(s, o, VOCABULARIES[1].index(p) + 1) for s, p, o in truth.relations]
        assert sorted(relations) == sorted(map(tuple, image.relations.tolist()))
    assert list(path.parent.iterdir()) == [path]


def test_coco_tools_open_it(tmp_path):
    from pycocotools.coco import COCO

    images = [annotations_of(name, f"{name}.jpg", p, r) for name, r, p in world()]
    write_coco(tmp_path / "l.json", images, VOCABULARIES)
    coco = COCO(tmp_path / "l.json")
    assert len(coco.getAnnIds(imgIds=[12])) == 3 and coco.loadCats([3])[0]["name"] == "man"
    sides = read_sides(write_predictions(tmp_path, images), tmp_path / "l.json")
    assert len(sides.truth.labels) == 3  # the evaluation takes them for the truth


def write_predictions(folder, images):
    graphs = {
        image.image_id: {
            "objects": [
                {"category": VOCABULARIES[0][label - 1], "box": box, "score": 1.0}
                for label, box in zip(image.labels.tolist(), image.boxes.tolist(), strict=True)
            ],
            "relations": [],
        }
        for image in images
    }
    (folder / "p.json").write_text(json.dumps(graphs))
    return folder / "p.json"


def test_lines_round_trip(tmp_path):
    nouns = [["guy", "cap", "puppy", "sky", "dog"], []]
    lines = (pseudo_line(n, f"/p/{n}", w, p, r, VOCABULARIES) for (n, r, p), w in zip(world(), nouns, strict=True))
    path = tmp_path / "deep" / "l.jsonl"
    assert write_pseudo_lines(path, lines) == {"images": 2, "entities": 5, "triplets": 4}
    read = [json.loads(line) for line in path.read_text().splitlines()]
    assert [line["id"] for line in read] == ["12", "7"] and read[0]["file"] == "/p/12"
    assert read[0]["entities"][0] == {
        "text": "guy",
        "category": "man",
        "candidates": [
            {"region": 2, "box": [300, 99.9, 301, 101], "score": 3, "weight": 0.75},
            {"region": 1, "box": [0, 0, 639, 480], "score": 1, "weight": 0.1},
        ],
    }
    assert read[0]["entities"][3]["category"] is None and read[0]["triplets"][0] == [0, "has", 1]
    for line, (_, _, pseudo) in zip(read, world(), strict=True):
        assert line["regions"] == pseudo.count
        assert [e["category"] for e in line["entities"]] == [(*VOCABULARIES[0], None)[c] for c in pseudo.categories]
        there = pseudo.regions >= 0
        for written, field in (("region", "regions"), ("score", "scores"), ("weight", "weights")):
            values = [candidate[written] for entity in line["entities"] for candidate in entity["candidates"]]
            assert np.array_equal(np.array(values, pseudo.scores.dtype), getattr(pseudo, field)[there])


def named(names, paths=("/p/a.jpg", "/p/b\udc80.jpg")):
    return [annotations_of(n, path, p, r) for n, path, (_, r, p) in zip(names, paths, world(), strict=True)]


def test_ids_are_all_numbers_or_all_names(tmp_path):
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    path = tmp_path / "l.json"
    for names, ids in (
        (("12", "7"), [12, 7]),
        (("12", "b"), ["12", "b"]),
        (("012", "7"), ["012", "7"]),
        (("1" * 5000, "7"), ["1" * 5000, "7"]),
    ):
        write_coco(path, named(names), VOCABULARIES)
        content = json.loads(path.read_text(encoding="utf-8"))
        assert [image["id"] for image in content["images"]] == ids
        assert content["images"][1]["file_name"] == "b\udc80.jpg"
        assert coco_truth(content, path).images == [name.lstrip("0") for name in names]
        coco = COCO(path)
        measured = COCOeval(coco, coco, "bbox")
        measured.evaluate()
        measured.accumulate()
        measured.summarize()
        assert measured.stats[0] == pytest.approx(1)  # every box is found again, whatever its image is called


def test_no_image_to_write(tmp_path):
    for write in (write_coco, lambda path, images, _: write_pseudo_lines(path, images)):
        with pytest.raises(ValueError, match=r"out.*: no image to export"):
            write(tmp_path / "out", [], VOCABULARIES)
    assert list(tmp_path.iterdir()) == []


def test_lines_with_odd_names(tmp_path):
    _, found, pseudo = world()[1]
    write_pseudo_lines(tmp_path / "l.jsonl", [pseudo_line("b\udc80", "/p/b\udc80", [], pseudo, found, VOCABULARIES)])
    assert json.loads((tmp_path / "l.jsonl").read_text(encoding="utf-8"))["id"] == "b\udc80"
